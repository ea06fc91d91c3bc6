package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// maxDoublings is how often the wait after failures of a timer doubles.
const maxDoublings = 6

// timerStatements returns the statements for timers. A timer is due at next_at, or after a
// failure at retry_at.
func timerStatements(now string) (schedule, due, postpone, timers string) {
	schedule = `UPDATE groups SET next_at = $2, retry_at = NULL, failures = 0 WHERE id = $1`
	due = `SELECT id FROM groups
		WHERE next_at IS NOT NULL AND COALESCE(retry_at, next_at) <= (SELECT ` + now + `) AND next_at <= (SELECT ` + now + `)
		AND deleted_at IS NULL ORDER BY COALESCE(retry_at, next_at) LIMIT $1`
	postpone = fmt.Sprintf(`UPDATE groups SET failures = failures + 1,
		retry_at = %[1]s + (%[2]d << CASE WHEN failures < %[3]d THEN failures ELSE %[3]d END)
		WHERE id = $1 AND COALESCE(retry_at, next_at) <= (SELECT %[1]s) AND next_at <= (SELECT %[1]s)`,
		now, upkeep.MaxPostponed.Microseconds()>>maxDoublings, maxDoublings)
	timers = `SELECT id, name, COALESCE(retry_at, next_at), ends_at, failures FROM groups
		WHERE next_at IS NOT NULL AND COALESCE(retry_at, next_at) >= $2 AND (COALESCE(retry_at, next_at) > $2 OR id > $3)
		AND deleted_at IS NULL ORDER BY COALESCE(retry_at, next_at), id LIMIT $1`
	return schedule, due, postpone, timers
}

// Timers implements [group.Finder].
func (s *Store) Timers(ctx context.Context, after string, limit int) (timers []group.Timer, err error) {
	from, id := int64(math.MinInt64), ""
	if after != "" {
		var number string
		number, id, _ = strings.Cut(after, " ")
		if from, err = strconv.ParseInt(number, 10, 64); err != nil || !storable(id) {
			return nil, errCursor
		}
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		timers = []group.Timer{}
		return each(ctx, q, s.sql.timers, args{limit, from, id}, func(scan scanner) error {
			var (
				t    group.Timer
				next int64
				ends sql.NullInt64
			)
			err := scan(&t.GroupID, &t.Name, &next, &ends, &t.Failures)
			t.NextAt, t.EndsAt = instant(next), optionalInstant(ends)
			timers = append(timers, t)
			return err
		})
	})
	return timers, doing(err, "list", "timers")
}

// Due implements [upkeep.Clock].
func (s *Store) Due(ctx context.Context, limit int) (ids []string, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		ids = nil
		return each(ctx, q, s.sql.due, args{limit}, func(scan scanner) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	return ids, doing(err, "find groups", "whose timer is due")
}

// Postpone implements [upkeep.Clock].
func (s *Store) Postpone(ctx context.Context, groupID string) error {
	if !storable(groupID) {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.sql.postpone, groupID)
		return err
	})
	return doing(err, "postpone the timer of group", groupID)
}
