package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// Triggers keep the number of each user's groups in user_locks (see the migration). A
// transaction that changes these numbers locks the group's row first and then the users'
// rows in the order of user ids, so there is no deadlock.

// settleBatch is the number of members of a deleted group that one transaction uncounts. It
// is smaller than other batches, because it locks users' rows.
const settleBatch = 500

// tally reads the counts of users. On PostgreSQL it locks their rows and inserts missing
// ones. It returns the values of the locked rows: a SELECT would return the values from
// before it waited for the locks.
func tally(a asked) string {
	if a.dialect != database.Postgres {
		return `SELECT user_id, joined, owned + ` + givenAway + ` FROM user_locks WHERE user_id` + a.is()
	}
	rows := `VALUES (` + a.param + `)`
	if !a.one {
		rows = `SELECT DISTINCT u COLLATE "C" FROM (` + a.each() + ` AS u) listed ORDER BY 1`
	}
	return `INSERT INTO user_locks (user_id) ` + rows + `
		ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id RETURNING user_id, joined, owned + ` + givenAway
}

// givenAway counts the groups that a user created and another user owns. They count towards
// the limit, so there are never many. On PostgreSQL it misses rows that were committed
// while the statement waited for the lock; the next statement sees them.
const givenAway = `(SELECT COUNT(*) FROM groups g WHERE g.created_by = user_locks.user_id AND g.created_by <> g.owner_id AND g.deleted_at IS NULL)`

// ofMembers returns the start of a statement and a condition for the members of group $1
// that the queries select. On PostgreSQL the statement locks the members and then their
// users' rows, in the order of user ids. It finds the members by ctid. A condition on user
// ids may compare them with all members of a large group, because the planner expects small
// groups.
func ofMembers(d database.Dialect, queries ...string) (with, condition string) {
	if d != database.Postgres {
		for i, q := range queries {
			queries[i] = `SELECT user_id FROM (SELECT user_id FROM members WHERE ` + q + `)`
		}
		return "", `group_id = $1 AND user_id IN (` + strings.Join(queries, " UNION ") + `)`
	}
	var users, places []string
	with = `WITH `
	for i, q := range queries {
		with += fmt.Sprintf(`picked%d AS MATERIALIZED (SELECT ctid, user_id FROM members WHERE %s FOR NO KEY UPDATE), `, i, q)
		users = append(users, fmt.Sprintf(`SELECT user_id FROM picked%d`, i))
		places = append(places, fmt.Sprintf(`SELECT ctid FROM picked%d`, i))
	}
	with += `locked AS MATERIALIZED (SELECT user_id FROM user_locks WHERE user_id = ANY (ARRAY(` + strings.Join(users, " UNION ALL ") + `))
		ORDER BY user_id FOR NO KEY UPDATE) `
	return with, `ctid = ANY (ARRAY(` + strings.Join(places, " UNION ALL ") + `)) AND (SELECT COUNT(*) FROM locked) >= 0`
}

// settleStatement uncounts members of group $1: its owner $2, and at most $4 others after
// user $3. It returns their ids.
func settleStatement(d database.Dialect) string {
	with, condition := ofMembers(d, `group_id = $1 AND user_id = $2 AND live`, `group_id = $1 AND user_id > $3 AND live ORDER BY user_id LIMIT $4`)
	return with + `UPDATE members SET live = FALSE WHERE live AND ` + condition + ` RETURNING user_id`
}

// Tally reads the number of users' groups.
func (t *tx) Tally(ctx context.Context, userIDs ...string) (map[string]group.Tally, error) {
	text, param, err := t.sql.tally.of(userIDs)
	if err != nil {
		return nil, err
	}
	tallies := make(map[string]group.Tally)
	err = each(ctx, t.q, text, args{param}, func(scan scanner) error {
		var (
			userID string
			n      group.Tally
		)
		err := scan(&userID, &n.Joined, &n.Owned)
		if n != (group.Tally{}) {
			tallies[userID] = n
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the number of users' groups: %w", err)
	}
	return tallies, nil
}

// settle uncounts some members of a deleted group, and its owner. It returns the last of
// them, or an empty string if there are no more.
func settle(ctx context.Context, q database.Querier, text, groupID, ownerID, after string) (last string, err error) {
	n := 0
	err = each(ctx, q, text, args{groupID, ownerID, after, settleBatch}, func(scan scanner) error {
		var userID string
		err := scan(&userID)
		if n++; userID != ownerID {
			last = max(last, userID)
		}
		return err
	})
	if n < settleBatch {
		last = ""
	}
	return last, err
}
