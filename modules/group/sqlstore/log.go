package sqlstore

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// Read returns a part of a group's log, and the group, as of one moment.
func (s *Store) Read(ctx context.Context, groupID string, since int64, limit int, users []string) (page group.LogPage, err error) {
	if !storable(groupID) {
		return page, fault.ErrNotFound
	}
	if limit == 0 && len(users) == 1 { // the most frequent case: one new subscriber
		return s.readOne(ctx, groupID, users[0])
	}
	asked, err := textList(users)
	if err != nil {
		return page, err
	}
	err = s.db.ReadTx(ctx, func(ctx context.Context, q database.Querier) error {
		var row pageRow
		err := q.QueryRowContext(ctx, s.sql.readGroup, groupID).Scan(row.fields()...)
		if err != nil {
			return notFound(err)
		}
		if page, err = row.page(); err != nil {
			return err
		}
		if page.Group.Version > since && limit > 0 {
			page.Events, err = s.eventsAfter(ctx, q, groupID, since, limit)
		}
		if err != nil || len(users) == 0 {
			return err
		}
		return each(ctx, q, s.sql.readMembers, args{groupID, asked}, func(scan scanner) error {
			var row memberRow
			err := scan(row.fields()...)
			row.addTo(page.Members)
			return err
		})
	})
	if err != nil {
		return group.LogPage{}, doing(err, "read the log of group", groupID)
	}
	return page, nil
}

// firstRows is how many events the first statement of a page asks for. Each
// further one asks for rowsGrowth times as many, so that few of them are left
// unread when the page is full.
const (
	firstRows  = 64
	rowsGrowth = 4
)

var errFull = errors.New("the page is full")

// eventsAfter reads the events of a page.
func (s *Store) eventsAfter(ctx context.Context, q database.Querier, groupID string, since int64, limit int) ([]group.Event, error) {
	events, size := []group.Event{}, 0
	for rows := firstRows; len(events) < limit; rows *= rowsGrowth {
		end := min(len(events)+rows, limit)
		err := each(ctx, q, s.sql.readEvents, args{groupID, since, end - len(events)}, func(scan scanner) error {
			if size >= group.PageBytes {
				return errFull
			}
			var row eventRow
			err := scan(row.fields()...)
			e := row.event()
			events, since, size = append(events, e), e.Version, size+len(e.Data)
			return err
		})
		switch {
		case errors.Is(err, errFull):
			return events, nil
		case err != nil || len(events) < end:
			return events, err
		}
	}
	return events, nil
}

// readOne reads the group and one membership, in one statement.
func (s *Store) readOne(ctx context.Context, groupID, userID string) (page group.LogPage, err error) {
	if !storable(userID) {
		userID = "" // nobody's
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var (
			row pageRow
			mem memberRow
		)
		if err := q.QueryRowContext(ctx, s.sql.readOne, groupID, userID).Scan(append(row.fields(), mem.fields()...)...); err != nil {
			return notFound(err)
		}
		page, err = row.page()
		mem.addTo(page.Members)
		return err
	})
	if err != nil {
		return group.LogPage{}, doing(err, "read the log of group", groupID)
	}
	return page, nil
}

// memberships reads a group's version with the memberships of users, in one row
// for each. A group without them is one row.
func memberships(a asked) string {
	return `SELECT g.version, g.moved_at, g.deleted_at IS NOT NULL, ` + memberColumns + ` FROM groups g
		LEFT JOIN (` + ofUsers(a, memberColumns, "members") + `) m ON TRUE WHERE g.id = $1`
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
	if err == nil && st.Version == 0 { // no row: a group begins with an event
		err = fault.ErrNotFound
	}
	return st, doing(err, "read the memberships of group", groupID)
}

// textList returns a JSON array of the storable texts.
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

// Published marks events as published. It leaves events that a relay has locked to
// the relay.
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
