package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// expireStatements remove what is over for long enough, each $1 rows at most.
func expireStatements(d database.Dialect) []string {
	lock := ""
	if d == database.Postgres {
		// Whoever has a row locked may be about to renew it; and nobody waits.
		lock = " FOR UPDATE SKIP LOCKED"
	}
	var texts []string
	for _, of := range []struct {
		table, key, since string
		age               time.Duration
	}{
		{"receipts", "user_id, key", "at", group.ReceiptAge},
		{"invites", "id", "over_at", group.OverAge},
		{"bans", "group_id, user_id", "expires_at", group.OverAge},
	} {
		texts = append(texts, fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN
			(SELECT %[2]s FROM %[1]s WHERE %[3]s < (SELECT %[4]s - %[5]d) ORDER BY %[3]s LIMIT $1%[6]s)`,
			of.table, of.key, of.since, d.Now(), of.age.Microseconds(), lock))
	}
	return texts
}

// Expire removes receipts that are too old, and invites and bans that are over.
func (s *Store) Expire(ctx context.Context, limit int) (removed int, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		removed = 0
		for _, text := range s.sql.expire {
			result, err := q.ExecContext(ctx, text, limit-removed)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
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
