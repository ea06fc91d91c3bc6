package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/upkeep"
)

const (
	// minBatch and maxBatch limit the rows that one transaction removes. enough is the
	// intended duration of a transaction, because on SQLite others wait for it.
	minBatch = 50
	maxBatch = 2000
	enough   = 10 * time.Millisecond
)

// inSteps calls step with a number of rows until it removes fewer, or until end. It reports
// whether all rows are removed. It adapts the number to the duration of a step, because
// rows may be small or large.
func inSteps(end time.Time, step func(rows int) (removed int, err error)) (done bool, err error) {
	for rows := maxBatch / 4; ; {
		began := time.Now()
		removed, err := step(rows)
		if err != nil || removed < rows {
			return err == nil, err
		}
		switch took := time.Since(began); {
		case took > enough:
			rows = max(rows/2, minBatch)
		case took < enough/2:
			rows = min(rows*2, maxBatch)
		}
		if time.Now().After(end) {
			return false, nil
		}
	}
}

// trim removes a group's oldest events: those that are old enough, and those in excess of
// the limit in bytes.
func (s *Store) trim(ctx context.Context, d duty, r upkeep.Retention, end time.Time) (done bool, err error) {
	var excess int64 // in bytes
	if d.large {
		bytes, done, err := s.countEvents(ctx, d.groupID, end)
		if !done || err != nil {
			return false, err
		}
		excess = excessOf(bytes, r)
	}
	after := d.first - 1
	return inSteps(end, func(rows int) (int, error) {
		var old oldest
		err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) (err error) {
			a := args{d.groupID, after, d.head - 1, rows, d.last, r.Age.Microseconds()}
			if old, err = s.oldest(ctx, q, a, excess); err != nil || old.count == 0 {
				return err
			}
			_, err = q.ExecContext(ctx, s.sql.sweep.trim, d.groupID, after, old.last)
			return err
		})
		after, excess = max(after, old.last), excess-old.bytes
		return old.count, err
	})
}

// oldest are the events that one step removes.
type oldest struct {
	count       int
	last, bytes int64
}

// oldest reads which events to remove: those that are old enough, and those in the first
// excess bytes. Times grow with versions, so no event after the first one that stays is
// removed.
func (s *Store) oldest(ctx context.Context, q database.Querier, a args, excess int64) (o oldest, err error) {
	err = each(ctx, q, s.sql.sweep.oldest, a, func(scan scanner) error {
		var (
			version, bytes int64
			old            bool
		)
		err := scan(&version, &old, &bytes)
		if err == nil && !old && o.bytes >= excess {
			err = errFull
		}
		if err == nil {
			o.count, o.last, o.bytes = o.count+1, version, o.bytes+bytes
		}
		return err
	})
	if errors.Is(err, errFull) {
		err = nil
	}
	return o, err
}

// settle uncounts a deleted group's members.
func (s *Store) settle(ctx context.Context, groupID string, end time.Time) (done bool, err error) {
	for last := ""; ; {
		err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) (err error) {
			last, err = settle(ctx, q, s.sql.settle, groupID, "", last)
			return err
		})
		if err != nil || last == "" || time.Now().After(end) {
			return err == nil && last == "", err
		}
	}
}

// forget removes a deleted group: first its events, then its members, and its row last.
func (s *Store) forget(ctx context.Context, groupID string, end time.Time) (done bool, err error) {
	for _, of := range s.sql.sweep.forget {
		after := of.start
		done, err := inSteps(end, func(rows int) (n int, err error) {
			next := after
			err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
				n, next = 0, after
				return each(ctx, q, of.text, args{groupID, after, rows}, func(scan scanner) error {
					n++
					return of.later(scan, &next)
				})
			})
			if err == nil {
				after = next
			}
			return n, err
		})
		if err != nil || !done {
			return false, err
		}
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.sql.sweep.forgetGroup, groupID)
		return err
	})
	return err == nil, err
}

// forgetStatement deletes rows of group $1 with keys after $2, in order, at most $3. Each
// call starts after the last key, which skips the rows that were deleted before.
type forgetStatement struct {
	text  string
	start any // a value before the first key
}

// later replaces next with the key of a row if that is greater.
func (forgetStatement) later(scan scanner, next *any) error {
	switch last := (*next).(type) {
	case int64:
		var key int64
		err := scan(&key)
		*next = max(last, key)
		return err
	case string:
		var key string
		err := scan(&key)
		*next = max(last, key)
		return err
	}
	return fmt.Errorf("a key of type %T", *next)
}

func forgetStatements() []forgetStatement {
	var list []forgetStatement
	for _, of := range []struct {
		table, key string
		start      any
	}{
		{"outbox", "version", int64(0)},
		{"events", "version", int64(0)},
		{"members", "user_id", ""},
		{"bans", "user_id", ""},
		{"mutes", "user_id", ""},
		{"requests", "user_id", ""},
		{"invitations", "user_id", ""},
		{"departures", "user_id", ""},
		{"invites", "id", ""},
		{"traces", "user_id", ""},
		{"hook_groups", "hook_id", ""},
		{"hook_presence_groups", "hook_id", ""},
		{"hook_presence", "user_id", ""},
	} {
		list = append(list, forgetStatement{start: of.start, text: fmt.Sprintf(`DELETE FROM %[1]s WHERE group_id = $1 AND %[2]s > $2 AND %[2]s <=
			(SELECT MAX(%[2]s) FROM (SELECT %[2]s FROM %[1]s WHERE group_id = $1 AND %[2]s > $2 ORDER BY %[2]s LIMIT $3) b) RETURNING %[2]s`, of.table, of.key)})
	}
	return list
}
