package sqlstore

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// lockUsers makes the changes that count a user's groups wait for each other.
// It is not one statement with the count, because on PostgreSQL a statement
// sees what was committed before it began, and not before it got its locks.
//
// Rows are locked in order of user id, and after the one group's row that a
// change holds: nobody waits in a circle.
func lockUsers(a asked) string {
	if a.dialect != database.Postgres {
		return ""
	}
	rows := `VALUES (` + a.param + `)`
	if !a.one {
		rows = `SELECT DISTINCT u COLLATE "C" FROM (` + a.each() + ` AS u) listed ORDER BY 1`
	}
	return `INSERT INTO user_locks (user_id) ` + rows + ` ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id`
}

// tally counts the groups of users. It is not a join, which PostgreSQL may
// begin with all groups that there are.
func tally(a asked) string {
	return `SELECT m.user_id, COUNT(*), COUNT(CASE WHEN m.role = 'owner' THEN 1 END) FROM members m
		WHERE m.user_id` + a.is() + ` AND (SELECT g.deleted_at IS NULL FROM groups g WHERE g.id = m.group_id)
		GROUP BY m.user_id`
}

// Tally counts the groups of users.
func (t *tx) Tally(ctx context.Context, userIDs ...string) (map[string]group.Tally, error) {
	lock, param, err := t.sql.lockUsers.of(userIDs)
	if err != nil {
		return nil, err
	}
	if lock != "" {
		if _, err := t.q.ExecContext(ctx, lock, param); err != nil {
			return nil, fmt.Errorf("lock users: %w", err)
		}
	}
	count, param, err := t.sql.tally.of(userIDs)
	if err != nil {
		return nil, err
	}
	tallies := make(map[string]group.Tally)
	err = each(ctx, t.q, count, args{param}, func(scan scanner) error {
		var (
			userID string
			n      group.Tally
		)
		err := scan(&userID, &n.Joined, &n.Owned)
		tallies[userID] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count the groups of users: %w", err)
	}
	return tallies, nil
}
