package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/moim-live/moim/modules/database"
)

const countUserGroups = `SELECT joined, owned FROM user_locks WHERE user_id = $1`

// CountUserGroups counts the groups that a user is in and owns.
func (s *Store) CountUserGroups(ctx context.Context, userID string) (joined, owned int, err error) {
	if !storable(userID) {
		return 0, 0, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		err := q.QueryRowContext(ctx, countUserGroups, userID).Scan(&joined, &owned)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // the user never had a group
		}
		return err
	})
	return joined, owned, doing(err, "count the groups of user", userID)
}

// asked describes the users in a statement: either one, whose id is the parameter, or many,
// whose ids are a JSON array.
type asked struct {
	dialect database.Dialect
	param   string // such as $2
	one     bool
}

// is returns the condition that a column is one of the ids.
func (a asked) is() string {
	switch {
	case a.one:
		return ` = ` + a.param
	case a.dialect == database.Postgres:
		// An array, because for a table the planner expects many rows and would read the
		// members of all groups.
		return ` = ANY (ARRAY(` + a.each() + `))`
	default:
		return ` IN (` + a.each() + `)`
	}
}

// each selects the ids.
func (a asked) each() string {
	if a.dialect == database.Postgres {
		return `SELECT jsonb_array_elements_text(CAST(` + a.param + ` AS jsonb))`
	}
	return `SELECT value FROM json_each(` + a.param + `)`
}

// ofUsers selects the rows of group $1 that belong to the users.
func ofUsers(a asked, columns, table string) string {
	if a.one || a.dialect != database.Postgres {
		return `SELECT ` + columns + ` FROM ` + table + ` m WHERE group_id = $1 AND user_id` + a.is()
	}
	// One lookup by the table's key for each user. Otherwise, the planner expects small
	// groups and reads all members.
	return `SELECT r.* FROM (SELECT DISTINCT u FROM (` + a.each() + ` AS u) listed) asked CROSS JOIN LATERAL
		(SELECT ` + columns + ` FROM ` + table + ` m WHERE group_id = $1 AND user_id = asked.u OFFSET 0) r`
}

// byUsers is a statement in two forms: for one user, which is the usual case, and for many.
type byUsers struct{ one, many string }

func newByUsers(d database.Dialect, param string, text func(asked) string) byUsers {
	return byUsers{one: text(asked{d, param, true}), many: text(asked{d, param, false})}
}

// of returns the statement for users, and its parameter.
func (b byUsers) of(userIDs []string) (text, param string, err error) {
	if len(userIDs) == 1 && storable(userIDs[0]) {
		return b.one, userIDs[0], nil
	}
	param, err = textList(userIDs)
	return b.many, param, err
}
