// Package sqlstore keeps groups and their logs in SQL. One set of statements
// serves SQLite and PostgreSQL; what little differs comes from the dialect.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// Store is the repository and the log. It is safe for concurrent use.
type Store struct {
	db  *database.DB
	sql statements
	// relaying holds one token: on SQLite, where rows are not locked, one relay
	// runs at a time.
	relaying chan struct{}
	outbox   outboxCursor
	gates    gates
}

var (
	_ group.Repository = (*Store)(nil)
	_ group.Log        = (*Store)(nil)
)

// New returns a store on db, which is started before the first call.
func New(db *database.DB) *Store {
	return &Store{db: db, sql: newStatements(db.Dialect()), relaying: make(chan struct{}, 1)}
}

// Group returns a group, and the member record of userID when they are one.
func (s *Store) Group(ctx context.Context, groupID, userID string) (g group.Group, m *group.Member, err error) {
	if !storable(groupID) {
		return g, nil, fault.ErrNotFound
	}
	if !storable(userID) {
		userID = "" // nobody's
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var (
			row groupRow
			mem memberRow
		)
		err := q.QueryRowContext(ctx, s.sql.group, groupID, userID).Scan(append(row.fields(), mem.fields()...)...)
		if err != nil {
			return notFound(err)
		}
		m = mem.member()
		g, err = row.group()
		return err
	})
	return g, m, doing(err, "read group", groupID)
}

// Members lists members by user id, and the group's version at that moment.
func (s *Store) Members(ctx context.Context, groupID, after string, limit int) (members []group.Member, version int64, err error) {
	if !storable(groupID) {
		return nil, 0, fault.ErrNotFound
	}
	if !storable(after) {
		return nil, 0, errCursor
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		members, version = []group.Member{}, 0
		known := false
		err := each(ctx, q, s.sql.members, args{groupID, after, limit}, func(scan scanner) error {
			var row memberRow
			if err := scan(append([]any{&version}, row.fields()...)...); err != nil {
				return err
			}
			known = true // a group without further members is one row without a member
			if m := row.member(); m != nil {
				members = append(members, *m)
			}
			return nil
		})
		if err == nil && !known {
			return fault.ErrNotFound
		}
		return err
	})
	return members, version, doing(err, "list the members of group", groupID)
}

// PublicGroups lists public groups, newest first. The case of letters and the
// ways in which Unicode writes one of them make no difference to query.
func (s *Store) PublicGroups(ctx context.Context, query, before string, limit int) (groups []group.Group, err error) {
	if !storable(query) || !storable(before) {
		return []group.Group{}, nil // no name and no id is like that
	}
	pattern := "%" + likeEscaper.Replace(searchable(query)) + "%"
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = []group.Group{}
		return each(ctx, q, s.sql.publicGroups, args{pattern, upTo(before), limit}, func(scan scanner) error {
			var row groupRow
			if err := scan(row.fields()...); err != nil {
				return err
			}
			g, err := row.group()
			groups = append(groups, g)
			return err
		})
	})
	return groups, doing(err, "list public groups", "")
}

// UserGroups lists the groups of a user, newest first.
func (s *Store) UserGroups(ctx context.Context, userID, before string, limit int) (groups []group.Membership, err error) {
	if !storable(userID) || !storable(before) {
		return []group.Membership{}, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = []group.Membership{}
		return each(ctx, q, s.sql.userGroups, args{userID, upTo(before), limit}, func(scan scanner) error {
			var (
				row groupRow
				m   group.Membership
			)
			err := scan(append(row.fields(), (*string)(&m.Role), &m.ReadVersion, &m.Unread)...)
			if err != nil {
				return err
			}
			m.Group, err = row.group()
			groups = append(groups, m)
			return err
		})
	})
	return groups, doing(err, "list the groups of user", userID)
}

type (
	args    []any
	scanner func(dest ...any) error
)

// each calls row for every row of a query.
func each(ctx context.Context, q database.Querier, query string, a args, row func(scanner) error) error {
	rows, err := q.QueryContext(ctx, query, a...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// storable reports whether both databases can hold s as text: an id that they
// cannot hold names nothing.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// likeEscaper makes text match itself in LIKE … ESCAPE '\'.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// searchable is the form in which names are compared with what is searched.
func searchable(name string) string { return strings.ToLower(norm.NFKC.String(name)) }

// upTo returns an id above every other one for a listing without a cursor.
func upTo(before string) string {
	if before == "" {
		return "\U0010ffff"
	}
	return before
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.ErrNotFound
	}
	return err
}

// doing says what was being done, unless err is one that callers look for.
func doing(err error, what, id string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if id != "" {
		what += " " + id
	}
	return fmt.Errorf("%s: %w", what, err)
}
