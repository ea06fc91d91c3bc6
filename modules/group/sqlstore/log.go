package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// Read returns a part of a group's log and the group, as of one moment. With at most one
// user it needs one statement, unless the page is long.
func (s *Store) Read(ctx context.Context, groupID string, since int64, limit int, users []string) (page group.LogPage, err error) {
	if !storable(groupID) {
		return page, fault.ErrNotFound
	}
	events := pageReader{group: groupID, last: since, limit: limit}
	if len(users) > 1 {
		page, err = s.readMany(ctx, events, users)
	} else {
		page, err = s.readOne(ctx, events, users)
	}
	if err != nil {
		return group.LogPage{}, doing(err, "read the log of group", groupID)
	}
	return page, nil
}

// readOne reads a page with at most one membership. A long page needs more statements, but
// no transaction: between them, only the data of messages can change, and each such change
// has a later event.
func (s *Store) readOne(ctx context.Context, events pageReader, users []string) (page group.LogPage, err error) {
	userID := "" // no user has an empty id
	if len(users) == 1 && storable(users[0]) {
		userID = users[0]
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		read := events
		page = group.LogPage{}
		asked := min(read.limit, rowsWithGroup)
		err := each(ctx, q, s.sql.readOne, args{read.group, userID, read.last, asked}, func(scan scanner) error {
			var (
				row   pageRow
				mem   memberRow
				event eventRow
			)
			err := scan(slices.Concat(row.fields(), mem.fields(), event.fields())...)
			if err == nil && page.Group.ID == "" {
				page, err = row.page()
				mem.addTo(page.Members)
			}
			if err == nil && event.version.Valid {
				err = read.add(event)
			}
			return err
		})
		switch {
		case err == nil && page.Group.ID == "":
			return fault.ErrNotFound
		case err == nil && len(read.events) == asked:
			err = read.rest(ctx, q, s.sql.readEvents, page.Group.Version)
		}
		page.Events = read.events
		return whole(err)
	})
	return page, err
}

// readMany reads a page with the memberships of many users.
func (s *Store) readMany(ctx context.Context, events pageReader, users []string) (page group.LogPage, err error) {
	asked, err := textList(users)
	if err != nil {
		return page, err
	}
	err = s.db.ReadTx(ctx, func(ctx context.Context, q database.Querier) error {
		var row pageRow
		err := q.QueryRowContext(ctx, s.sql.readGroup, events.group).Scan(row.fields()...)
		if err != nil {
			return notFound(err)
		}
		if page, err = row.page(); err != nil {
			return err
		}
		read := events
		if err := read.rest(ctx, q, s.sql.readEvents, page.Group.Version); whole(err) != nil {
			return err
		}
		page.Events = read.events
		return each(ctx, q, s.sql.readMembers, args{events.group, asked}, func(scan scanner) error {
			var row memberRow
			err := scan(row.fields()...)
			row.addTo(page.Members)
			return err
		})
	})
	return page, err
}

// firstRows is the number of rows that the first statement of a page asks for. Each further
// statement asks for rowsGrowth times as many. So few rows are left unread when the page is
// full.
const (
	firstRows  = 64
	rowsGrowth = 4
)

// rowsWithGroup is the number of events that are read in one statement with the group. Each
// row repeats the group's record.
const rowsWithGroup = 8

// errFull ends the reading of a page.
var errFull = errors.New("the page is full")

// pageReader collects the events of a page.
type pageReader struct {
	group  string
	last   int64 // the version before the next event
	limit  int
	events []group.Event
	size   int // size of the events' data, in bytes
}

// add adds an event, or returns errFull. It ends the page at a gap: older events may be
// removed while the page is read.
func (r *pageReader) add(row eventRow) error {
	if len(r.events) > 0 && (row.version.Int64 != r.last+1 || r.size >= group.PageBytes) {
		return errFull
	}
	e := row.event(r.group)
	r.events, r.last, r.size = append(r.events, e), e.Version, r.size+len(e.Data)
	return nil
}

// rest reads the events that are missing from the page, up to version head.
func (r *pageReader) rest(ctx context.Context, q database.Querier, query string, head int64) error {
	for rows := firstRows; len(r.events) < r.limit && r.last < head; rows *= rowsGrowth {
		before := len(r.events)
		asked := min(int64(rows), int64(r.limit-before), head-r.last)
		err := each(ctx, q, query, args{r.group, r.last, asked}, func(scan scanner) error {
			var row eventRow
			if err := scan(row.fields()...); err != nil {
				return err
			}
			return r.add(row)
		})
		if err != nil || int64(len(r.events)-before) < asked {
			return err
		}
	}
	return nil
}

// memberships reads a group's version and the memberships of users, one row for each. For a
// group without these memberships it returns one row.
func memberships(a asked) string {
	return `SELECT g.version, g.moved_at, g.deleted_at IS NOT NULL, ` + memberColumns + ` FROM groups g
		LEFT JOIN (` + ofUsers(a, "m.*", "members") + `) m ON TRUE WHERE g.id = $1`
}

// Memberships returns the memberships of users, and the group's version.
func (s *Store) Memberships(ctx context.Context, groupID string, users []string) (st group.Memberships, err error) {
	if !storable(groupID) {
		return st, fault.ErrNotFound
	}
	text, asked, err := s.sql.memberships.of(users)
	if err != nil {
		return st, err
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		st = group.Memberships{Members: make(map[string]group.Member)}
		return each(ctx, q, text, args{groupID, asked}, func(scan scanner) error {
			var (
				row   memberRow
				moved int64
			)
			err := scan(append([]any{&st.Version, &moved, &st.Deleted}, row.fields()...)...)
			st.MovedAt = instant(moved)
			row.addTo(st.Members)
			return err
		})
	})
	if err == nil && st.Version == 0 { // no row; an existing group has version 1 or higher
		err = fault.ErrNotFound
	}
	return st, doing(err, "read the memberships of group", groupID)
}

// textList returns a JSON array of the texts that can be stored.
func textList(texts []string) (string, error) {
	kept := make([]string, 0, len(texts))
	for _, t := range texts {
		if storable(t) {
			kept = append(kept, t)
		}
	}
	list, err := json.Marshal(kept)
	return string(list), err
}

// Published marks events as published. It skips events that a relay has locked; the relay
// marks them.
func (s *Store) Published(ctx context.Context, refs []group.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error { return s.mark(ctx, q, refs) })
	return doing(err, "mark events as published", "")
}

func (s *Store) mark(ctx context.Context, q database.Querier, refs []group.Ref) error {
	rows := make([]args, len(refs))
	for i, r := range refs {
		rows[i] = args{r.GroupID, r.Version}
	}
	return s.sql.published.split(rows, func(text string, a args) error {
		_, err := q.ExecContext(ctx, text, a...)
		return err
	})
}
