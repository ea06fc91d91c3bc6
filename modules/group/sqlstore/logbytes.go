package sqlstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/upkeep"
)

const (
	// eventBytes is the SQL for the counted size of an event. The triggers of the migration
	// use the same formula.
	eventBytes = `octet_length(data) + 100`
	// largestEvent is larger than any counted size of an event. A log needs no counting if
	// it would be small enough with all uncounted events of this size.
	largestEvent = 64 << 10
	// When a log is trimmed to its limit in bytes, one part in sparePart of the limit is
	// left free. Otherwise, a busy log would be trimmed at every sweep.
	sparePart = 16
)

// byteStatements count the size of the log of group $1, which is stored in heads.
type byteStatements struct {
	counted string // reads and locks the version up to which it is counted
	events  string // measures at most $3 events after version $2
	count   string // adds $3 bytes, up to version $2, and returns the total
}

func newByteStatements(d database.Dialect) byteStatements {
	return byteStatements{
		counted: `SELECT counted FROM heads WHERE group_id = $1` + d.ForUpdate("heads"),
		events: `SELECT COUNT(*), COALESCE(MAX(version), $2), COALESCE(SUM(bytes), 0) FROM (
			SELECT version, ` + eventBytes + ` AS bytes FROM events WHERE group_id = $1 AND version > $2 ORDER BY version LIMIT $3) e`,
		count: `UPDATE heads SET counted = $2, bytes = bytes + $3 WHERE group_id = $1 RETURNING bytes`,
	}
}

// mayExceed is the condition that the log of a group g with head h may have more bytes than
// the parameter says.
func mayExceed(param string) string {
	return fmt.Sprintf(`h.bytes + (g.version - h.counted) * %d > %s`, largestEvent, param)
}

// boundOf returns the maximum size of a log, in bytes.
func boundOf(r upkeep.Retention) int64 {
	if r.Bytes <= 0 {
		return math.MaxInt64
	}
	return r.Bytes
}

// excessOf returns the number of bytes to remove from a log.
func excessOf(bytes int64, r upkeep.Retention) int64 {
	if bytes <= boundOf(r) {
		return 0
	}
	return bytes - r.Bytes + r.Bytes/sparePart
}

// countEvents counts the events of a log that are not counted yet, and returns the size of
// the log. Each event is counted once, so the cost depends on the number of new events.
func (s *Store) countEvents(ctx context.Context, groupID string, end time.Time) (bytes int64, done bool, err error) {
	done, err = inSteps(end, func(rows int) (n int, err error) {
		err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			var after, last, added int64
			if err := q.QueryRowContext(ctx, s.sql.bytes.counted, groupID).Scan(&after); err != nil {
				return err
			}
			if err := q.QueryRowContext(ctx, s.sql.bytes.events, groupID, after, rows).Scan(&n, &last, &added); err != nil {
				return err
			}
			return q.QueryRowContext(ctx, s.sql.bytes.count, groupID, last, added).Scan(&bytes)
		})
		return n, err
	})
	return bytes, done, err
}
