package sqlhooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
)

// scanTurn reads a turn, and then more columns.
func scanTurn(scan scanner, hookID string, more ...any) (hook.Turn, error) {
	t := hook.Turn{HookID: hookID}
	var at, version sql.NullInt64
	err := scan(append(more, &t.GroupID, &t.Claim, &t.Version, &t.Upto, &t.Attempts, &t.Gap, &at, &version)...)
	t.SeekAt = optional(at)
	if version.Valid {
		t.SeekVersion = &version.Int64
	}
	return t, err
}

// Seek implements [hook.Positions].
func (s *Store) Seek(ctx context.Context, t hook.Turn) (next hook.Turn, ok bool, err error) {
	to, err := s.find(ctx, t)
	if err != nil {
		return t, false, err
	}
	var at, version any
	if t.SeekAt != nil {
		at = t.SeekAt.UnixMicro()
	}
	if t.SeekVersion != nil {
		version = *t.SeekVersion
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) (err error) {
		next, err = scanTurn(q.QueryRowContext(ctx, s.sql.next, t.GroupID, t.HookID, t.Claim, to, at, version).Scan, t.HookID)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	return next, err == nil, doing(err, "go to a place in a log")
}

// find returns the version to which the turn's position must move, which is at most the
// group's version.
func (s *Store) find(ctx context.Context, t hook.Turn) (version int64, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		version = 0
		var err error
		if t.SeekVersion != nil {
			var head int64
			err = q.QueryRowContext(ctx, known, t.GroupID).Scan(&head)
			version = min(*t.SeekVersion, head)
		} else {
			err = q.QueryRowContext(ctx, before, t.GroupID, t.SeekAt.UnixMicro()).Scan(&version)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return version, doing(err, "find a place in a log")
}

// The rows of a page are read in two steps. Most pages are short, or reach the size limit
// before the limit of events.
var steps = [...]int{16, hook.MaxEvents}

// Read implements [hook.Positions].
func (s *Store) Read(ctx context.Context, t hook.Turn) (page hook.Page, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		r := reader{groupID: t.GroupID, last: t.Version, page: hook.Page{Upto: t.Upto}}
		for _, rows := range steps {
			before := len(r.page.Events)
			err := each(ctx, q, r.add, read, t.GroupID, r.last, t.Upto, rows)
			if errors.Is(err, errFull) {
				r.page.Upto = r.last
				break
			}
			if err != nil {
				return err
			}
			if len(r.page.Events)-before < rows {
				break
			}
		}
		page = r.page
		if len(page.Events) > 0 || t.Upto <= t.Version {
			return nil
		}
		return missing(ctx, q, t, &page)
	})
	return page, doing(err, "read the log of a group")
}

var errFull = errors.New("the page is full")

// reader collects the events of a page.
type reader struct {
	groupID string
	last    int64
	size    int
	page    hook.Page
}

func (r *reader) add(scan scanner) error {
	e := group.Event{GroupID: r.groupID}
	var (
		actor sql.NullString
		data  string
		at    int64
	)
	if err := scan(&e.Version, &e.Type, &actor, &data, &at); err != nil {
		return err
	}
	if len(r.page.Events) > 0 && (r.size+len(data) > hook.EnoughBytes || e.Version != r.last+1) {
		return errFull
	}
	if actor.Valid {
		e.Actor = &actor.String
	}
	e.Data, e.At = json.RawMessage(data), instant(at)
	r.page.Gap = r.page.Gap || e.Version != r.last+1
	r.page.Events, r.last, r.size = append(r.page.Events, e), e.Version, r.size+len(data)
	return nil
}

// missing finds out why the log has no event for a turn.
func missing(ctx context.Context, q database.Querier, t hook.Turn, page *hook.Page) error {
	var next, head int64
	err := q.QueryRowContext(ctx, first, t.GroupID, t.Version).Scan(&next)
	if err == nil {
		page.Gap, page.Upto = true, next-1
		return nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	err = q.QueryRowContext(ctx, known, t.GroupID).Scan(&head)
	if errors.Is(err, sql.ErrNoRows) {
		page.Gone = true
		return nil
	}
	page.Gap = true // a backup was restored, or someone deleted events
	return err
}

// Done implements [hook.Positions].
func (s *Store) Done(ctx context.Context, t hook.Turn, upto int64, status int, gap, goOn bool) (next *hook.Turn, err error) {
	lease := int64(0)
	if goOn {
		lease = hook.Lease.Microseconds()
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		next = nil
		var more bool
		turn, err := scanTurn(q.QueryRowContext(ctx, s.sql.done, t.GroupID, t.HookID, t.Claim, upto, status, gap, lease).Scan, t.HookID, &more)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if more {
			next = &turn
		}
		return err
	})
	return next, doing(err, "record a delivery")
}

// Drop implements [hook.Positions].
func (s *Store) Drop(ctx context.Context, t hook.Turn) error {
	_, err := s.exec(ctx, "forget a group", drop, t.GroupID, t.HookID, t.Claim)
	return err
}
