// Package sqlstore keeps groups and their logs in SQL. [Store] implements
// [group.Repository] and [group.Log]; create it with [New]. SQLite and PostgreSQL share one
// set of statements, with few differences that depend on the dialect.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// backing is the database of a store: a [database.DB].
type backing interface {
	Dialect() database.Dialect
	View(ctx context.Context, fn database.Func) error
	ReadTx(ctx context.Context, fn database.Func) error
	Write(ctx context.Context, fn database.Func) error
}

// Store is a [group.Repository] and a [group.Log]. It is safe for concurrent use.
type Store struct {
	db  backing
	sql statements
	// relaying is a semaphore of one. SQLite locks no rows, so one relay runs at a time.
	relaying  chan struct{}
	node      string        // identifies this store in the lease of a sweep
	searching chan struct{} // holds a token for each running search
	outbox    outboxCursor
	gates     gates

	*sqlaudit.Store // the audit log
}

var (
	_ group.Repository = (*Store)(nil)
	_ group.Log        = (*Store)(nil)
)

// New returns a store on db. Start db before the first call.
func New(db *database.DB) *Store {
	return &Store{
		db:        db,
		sql:       newStatements(db.Dialect()),
		node:      uuid.NewString(),
		relaying:  make(chan struct{}, 1),
		searching: make(chan struct{}, searchesAtOnce),
		Store:     sqlaudit.New(db),
	}
}

// Group returns a group, and the membership of userID if they are a member.
func (s *Store) Group(ctx context.Context, groupID, userID string) (g group.Group, m *group.Member, err error) {
	if !storable(groupID) {
		return g, nil, fault.ErrNotFound
	}
	if !storable(userID) {
		userID = "" // no user has an empty id
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
func (s *Store) Members(ctx context.Context, groupID, after string, limit int) (members []group.ListedMember, version int64, err error) {
	members, err = listOf(ctx, s, "members", s.sql.members, args{groupID, after, limit}, func(scan scanner) (*group.ListedMember, error) {
		var (
			row   memberRow
			shown bool
			read  sql.NullInt64
		)
		err := scan(append([]any{&version, &shown, &read}, row.fields()...)...)
		m := row.member()
		if m == nil || err != nil {
			return nil, err
		}
		listed := &group.ListedMember{Member: *m}
		if shown {
			listed.ReadVersion = &read.Int64
		}
		return listed, nil
	})
	return members, version, err
}

// listOf lists items of a group. The first two arguments of the query are the group's id
// and a cursor. If the group has no items, the query returns one row of nulls, for which
// item returns nil. For an unknown group it returns no row.
func listOf[T any](ctx context.Context, s *Store, what, query string, a args, item func(scanner) (*T, error)) (items []T, err error) {
	groupID, _ := a[0].(string)
	if !storable(groupID) {
		return nil, fault.ErrNotFound
	}
	if cursor, _ := a[1].(string); !storable(cursor) {
		return nil, errCursor
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		items = []T{}
		known := false
		err := whole(new(listing).each(ctx, q, query, a, func(scan scanner) error {
			one, err := item(scan)
			if one != nil && err == nil {
				items = append(items, *one)
			}
			known = true
			return err
		}))
		if err == nil && !known {
			return fault.ErrNotFound
		}
		return err
	})
	return items, doing(err, "list the "+what+" of group", groupID)
}

// UserGroups lists the groups of a user, newest first.
func (s *Store) UserGroups(ctx context.Context, userID, before string, limit int) (groups []group.Membership, err error) {
	if !storable(userID) || !storable(before) {
		return []group.Membership{}, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = []group.Membership{}
		from := upTo(before)
		return inChunks(limit, func(l *listing, rows int) error {
			return l.each(ctx, q, s.sql.userGroups, args{userID, from, rows}, func(scan scanner) error {
				var (
					row groupRow
					m   group.Membership
				)
				err := scan(append(row.fields(), (*string)(&m.Role), &m.ReadVersion, &m.Unread)...)
				if err != nil {
					return err
				}
				m.Group, err = row.group()
				groups, from = append(groups, m), m.ID
				return err
			})
		})
	})
	return groups, doing(err, "list the groups of user", userID)
}

type (
	args    []any
	scanner func(dest ...any) error
)

// each calls row for every row of a query's result.
func each(ctx context.Context, q database.Querier, query string, a args, row func(scanner) error) error {
	rows, err := q.QueryContext(ctx, query, a...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports errors
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// listing counts the rows and the text that were read for one page of a list.
type listing struct{ rows, text int }

// each is the function each, but returns errFull once the page is full according to
// [group.ListBytes].
func (l *listing) each(ctx context.Context, q database.Querier, query string, a args, row func(scanner) error) error {
	return each(ctx, q, query, a, func(scan scanner) error {
		if err := l.next(); err != nil {
			return err
		}
		return row(func(dest ...any) error {
			err := scan(dest...)
			l.text += textOf(dest)
			return err
		})
	})
}

// next counts one more row. It returns errFull if the page is full.
func (l *listing) next() error {
	if l.rows > 1 && l.text > group.ListBytes {
		return errFull
	}
	l.rows++
	return nil
}

// inChunks calls read for one chunk of rows after the other, until the page has limit rows,
// the page is full or the list ends. Chunks avoid unread rows: a database sends all rows
// that a statement asks for.
func inChunks(limit int, read func(l *listing, rows int) error) error {
	l := &listing{}
	for chunk := firstRows; l.rows < limit; chunk *= rowsGrowth {
		end := min(l.rows+chunk, limit)
		if err := read(l, end-l.rows); err != nil || l.rows < end {
			return whole(err)
		}
	}
	return nil
}

// whole returns nil for errFull, because a full page is a success.
func whole(err error) error {
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// textOf returns the size of the text in a row that was scanned into dest.
func textOf(dest []any) (size int) {
	for _, d := range dest {
		switch d := d.(type) {
		case *string:
			size += len(*d)
		case *sql.NullString:
			size += len(d.String)
		}
	}
	return size
}

// affect runs a statement and returns how many rows it changed.
func affect(ctx context.Context, q database.Querier, query string, a ...any) (int64, error) {
	result, err := q.ExecContext(ctx, query, a...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// storable reports whether both databases can store s as text. So nothing has an id that is
// not storable.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// upTo returns the cursor, or an id that is greater than all others if the cursor is empty.
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

// doing adds the failed action to err, unless err is a fault.
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
