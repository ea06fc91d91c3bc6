package sqlstore

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// tallyStatements returns what makes the changes that count a user's groups
// wait for each other, and what counts them. They are two, because on
// PostgreSQL a statement sees what was committed before it began, and not
// before it got its locks.
//
// Rows are locked in order of user id, and after the one group's row that a
// change holds: nobody waits in a circle.
func tallyStatements(d database.Dialect) (lock, tally string) {
	if d == database.Postgres {
		lock = `INSERT INTO user_locks (user_id) SELECT DISTINCT u COLLATE "C" FROM (` + elements(d, "$1") + ` AS u) asked ORDER BY 1
			ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id`
	}
	// Not a join, which PostgreSQL may begin with all groups that there are.
	tally = `SELECT m.user_id, COUNT(*), COUNT(CASE WHEN m.role = 'owner' THEN 1 END) FROM members m
		WHERE m.user_id` + isIn(d, "$1") + ` AND (SELECT g.deleted_at IS NULL FROM groups g WHERE g.id = m.group_id)
		GROUP BY m.user_id`
	return lock, tally
}

// Tally counts the groups of users.
func (t *tx) Tally(ctx context.Context, userIDs ...string) (map[string]group.Tally, error) {
	asked, err := textList(userIDs)
	if err != nil {
		return nil, err
	}
	if t.sql.lockUsers != "" {
		if _, err := t.q.ExecContext(ctx, t.sql.lockUsers, asked); err != nil {
			return nil, fmt.Errorf("lock users: %w", err)
		}
	}
	tallies := make(map[string]group.Tally)
	err = each(ctx, t.q, t.sql.tally, args{asked}, func(scan scanner) error {
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
