package sqlhooks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/hook"
)

const (
	// scanBatch is the number of groups that one step of a replay makes due. clearBatch is
	// the number of positions that one step examines to remove those of a hook. hurryBatch
	// is the number of groups that one transaction makes due.
	scanBatch  = 200
	clearBatch = 5000
	hurryBatch = 1000
	// clearAfter is how long a deleted hook may still get positions.
	clearAfter = 10 * time.Second
)

// Spread implements [hook.Spreader].
func (s *Store) Spread(ctx context.Context, limit int) (taken int, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		var ids []string
		err := each(ctx, q, func(scan scanner) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		}, s.sql.take, limit)
		taken = len(ids)
		if err != nil || taken == 0 {
			return err
		}
		marked, err := list(ids)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, s.sql.spread, marked)
		return err
	})
	return taken, doing(err, "make groups due for hooks")
}

// Sweep implements [hook.Spreader]. Its progress is in the hook's row.
func (s *Store) Sweep(ctx context.Context) (more bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		more = false
		var (
			id, after string
			since     int64
			deleted   bool
		)
		err := q.QueryRowContext(ctx, s.sql.scanning, clearAfter.Microseconds()).Scan(&id, &after, &since, &deleted)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		more = true
		if deleted {
			return clearStep(ctx, q, id, after)
		}
		var last any
		err = each(ctx, q, func(scan scanner) error {
			var id string
			err := scan(&id)
			if later, _ := last.(string); id > later {
				last = id
			}
			return err
		}, s.sql.scan, id, after, since, scanBatch)
		if err != nil {
			return err
		}
		_, err = q.ExecContext(ctx, scanned, id, last)
		return err
	})
	return more, doing(err, "go on with a replay")
}

// clearStep removes some positions of a deleted hook. After the last ones, it removes the
// hook.
func clearStep(ctx context.Context, q database.Querier, id, after string) error {
	var last sql.NullString
	if err := q.QueryRowContext(ctx, clearEnd, after, clearBatch).Scan(&last); err != nil {
		return err
	}
	if !last.Valid {
		_, err := q.ExecContext(ctx, cleared, id)
		return err
	}
	if _, err := q.ExecContext(ctx, clear, id, after, last.String); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, scanned, id, last.String)
	return err
}

// Resume implements [hook.Replays].
func (s *Store) Resume(ctx context.Context, hookID, groupID string, entries ...audit.Entry) error {
	if groupID != "" {
		if _, err := s.exec(ctx, "resume presence in a group", s.sql.resumeOne[1], hookID, groupID); err != nil {
			return err
		}
		return s.recorded(ctx, "resume a group", entries, nil, s.sql.resumeOne[0], hookID, groupID)
	}
	for _, text := range s.sql.resume {
		for n := int64(hurryBatch); n == hurryBatch; {
			var err error
			if n, err = s.exec(ctx, "resume the groups of a hook", text, hookID, hurryBatch); err != nil {
				return err
			}
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, q database.Querier) error { return sqlaudit.Insert(ctx, q, entries...) })
}

// Rewind implements [hook.Replays].
func (s *Store) Rewind(ctx context.Context, hookID, groupID string, to hook.Point, entries ...audit.Entry) error {
	var at, version any = int64(0), nil
	if to.Version != nil {
		at, version = nil, *to.Version
	} else if !to.At.IsZero() {
		at = to.At.UnixMicro()
	}
	return s.recorded(ctx, "replay a group", entries, fault.ErrNotFound, s.sql.rewind, hookID, groupID, at, version)
}

// RewindAll implements [hook.Replays]. [Store.Sweep] does the work.
func (s *Store) RewindAll(ctx context.Context, hookID string, to hook.Point, entries ...audit.Entry) error {
	since := int64(0)
	if !to.At.IsZero() {
		since = to.At.UnixMicro()
	}
	return s.recorded(ctx, "replay all groups", entries, fault.ErrNotFound, scanAll, hookID, since)
}

// recorded runs a statement and stores audit entries. If the statement changes no row, it
// returns the error none.
func (s *Store) recorded(ctx context.Context, what string, entries []audit.Entry, none error, text string, args ...any) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		result, err := q.ExecContext(ctx, text, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 && none != nil {
			return errors.Join(err, none)
		}
		return sqlaudit.Insert(ctx, q, entries...)
	})
	return doing(err, what)
}

// Groups implements [hook.Replays].
func (s *Store) Groups(ctx context.Context, hookID string, from hook.Place, limit int) (found []hook.Status, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		found = []hook.Status{}
		return each(ctx, q, func(scan scanner) error {
			var (
				st             hook.Status
				claimed        bool
				behind, parked sql.NullInt64
			)
			err := scan(&st.Presence, &st.Lag, &st.GroupID, &st.Version, &st.Head, &st.Place.Due, &behind, &claimed, &st.Attempts, &parked, &st.LastReply, &st.Problem)
			st.Place.GroupID, st.Place.Presence, st.Lag = st.GroupID, st.Presence, max(st.Lag, 0)
			st.Since, st.ParkedAt = optional(behind), optional(parked)
			next := instant(st.Place.Due)
			switch {
			case st.ParkedAt != nil:
				st.State = "parked"
			case claimed:
				st.State = "sending"
			case st.Attempts > 0:
				st.State, st.NextAt = "retrying", &next
			default:
				st.State, st.NextAt = "waiting", &next
			}
			found = append(found, st)
			return err
		}, groups, hookID, from.Due, from.GroupID, limit, from.Presence)
	})
	return found, doing(err, "list the groups of a hook")
}

// Backlog counts the groups with something left to send to a hook.
func (s *Store) Backlog(ctx context.Context, hookID string) (b hook.Backlog, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		b = hook.Backlog{}
		for _, table := range []string{eventTable, presenceTable} {
			var oldest sql.NullInt64
			var tried, given int
			if err := q.QueryRowContext(ctx, fmt.Sprintf(waiting, table), hookID, int64(parked), hook.BacklogBound).Scan(&tried, &oldest); err != nil {
				return err
			}
			if oldest.Valid {
				b.Oldest = max(time.Since(instant(oldest.Int64)), b.Oldest)
			}
			if err := q.QueryRowContext(ctx, fmt.Sprintf(parking, table), hookID, int64(parked), hook.BacklogBound).Scan(&given); err != nil {
				return err
			}
			b.Parked = min(b.Parked+given, hook.BacklogBound)
			b.Waiting = min(b.Waiting+tried+given, hook.BacklogBound)
		}
		return nil
	})
	return b, doing(err, "count what is left to be sent for a hook")
}
