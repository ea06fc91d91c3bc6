package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// expireStatements delete rows that expired long enough ago, at most $1 each. They skip
// rows that a transaction has locked, because it may renew them.
func expireStatements(d database.Dialect) []string {
	var texts []string
	for _, of := range []struct {
		table, key, since string
		age               time.Duration
	}{
		{"receipts", "user_id, key", "at", group.ReceiptAge},
		{"invites", "id", "over_at", group.OverAge},
		{"bans", "group_id, user_id", "expires_at", group.OverAge},
		{"mutes", "group_id, user_id", "expires_at", group.OverAge},
		{"invitations", "group_id, user_id", "expires_at", group.OverAge},
		{"erasures", "id", "finished_at", group.ErasureKept},
	} {
		texts = append(texts, fmt.Sprintf(`DELETE FROM %s WHERE `, of.table)+oneOf(d, of.key,
			fmt.Sprintf(`FROM %[1]s WHERE %[2]s < (SELECT %[3]s - %[4]d) ORDER BY %[2]s LIMIT $1`, of.table, of.since, d.Now(), of.age.Microseconds())))
	}
	return texts
}

// Expire implements [upkeep.Trimmer].
func (s *Store) Expire(ctx context.Context, limit int) (removed int, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		removed = 0
		for _, text := range s.sql.expire {
			n, err := affect(ctx, q, text, limit-removed)
			if err != nil {
				return err
			}
			removed += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, doing(err, "remove what has expired", "")
	}
	return removed, nil
}
