package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

var _ upkeep.Trimmer = (*Store)(nil)

const (
	// sweepLease is how long other nodes do not sweep after the sweeping node has died.
	sweepLease = 2 * time.Minute
	// sweepRetry is when a group is tried again after its work failed.
	sweepRetry = 10 * time.Minute
	// sweepFor limits the work of one call of Trim. It is shorter than the lease. It is
	// long enough for a large group, because continuing with a group skips what earlier
	// calls have removed.
	sweepFor = 20 * time.Second
	// rearmBatch is the number of groups that one transaction makes due.
	rearmBatch = 1000
)

// sweepStatements find the work of a sweep. A group is due at heads.due_at: after each
// event, and again when its oldest event or the whole group may be removed.
type sweepStatements struct {
	lease        string // makes node $1 the sweeping node, with a retention of $2 events, $3 microseconds, $4 microseconds for deleted groups, and $5 bytes
	rearm, armed string // make groups after $1 due; store how far that got
	take         string // takes at most $1 due groups, which are then not due any more
	look         string // reads the groups $1, and the oldest event of logs that may have more than $2 events or $3 bytes
	due          string // sets when groups are due next, from a JSON object
	oldest       string // reads at most $4 events of group $1 after version $2 up to $3: whether their version is at most $5 and their age more than $6 microseconds
	trim         string
	forget       []forgetStatement
	forgetGroup  string
}

func newSweepStatements(d database.Dialect) sweepStatements {
	now := d.Now()
	each := `json_each($1)`
	if d == database.Postgres {
		each = `jsonb_each_text(CAST($1 AS jsonb))`
	}
	large := mayExceed("$3")
	long := `g.deleted_at IS NULL AND (g.version > $2 OR ` + large + `)`
	return sweepStatements{
		lease: fmt.Sprintf(`UPDATE sweeps SET holder = $1, until = %s + %d,
			rearm_after = CASE WHEN count <> $2 OR age <> $3 OR kept <> $4 OR bytes <> $5 THEN '' ELSE rearm_after END,
			count = $2, age = $3, kept = $4, bytes = $5
			WHERE until < (SELECT %[1]s) OR holder = $1 RETURNING rearm_after`, now, sweepLease.Microseconds()),
		rearm: fmt.Sprintf(`UPDATE heads SET due_at = %s WHERE group_id > $1 AND group_id <=
			(SELECT MAX(group_id) FROM (SELECT group_id FROM heads WHERE group_id > $1 ORDER BY group_id LIMIT %d) h) RETURNING group_id`, now, rearmBatch),
		armed: `UPDATE sweeps SET rearm_after = $1`,
		// An uncommitted event holds a lock on its group's row, so this skips the group.
		take: `UPDATE heads SET due_at = NULL WHERE ` + oneOf(d, "group_id", `FROM heads WHERE due_at <= (SELECT `+now+`) ORDER BY due_at LIMIT $1`) +
			` RETURNING group_id`,
		look: `SELECT g.id, g.version, g.deleted_at, g.deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM members WHERE group_id = g.id AND live = TRUE), (SELECT ` + now + `),
			` + large + `, CASE WHEN ` + long + ` THEN (SELECT version FROM events WHERE group_id = g.id ORDER BY version LIMIT 1) END,
			CASE WHEN ` + long + ` THEN (SELECT at FROM events WHERE group_id = g.id ORDER BY version LIMIT 1) END
			FROM groups g JOIN heads h ON h.group_id = g.id WHERE g.id` + asked{d, "$1", false}.is(),
		due: `UPDATE heads SET due_at = CAST(d.value AS BIGINT) FROM ` + each + ` d WHERE heads.group_id = d.key`,
		oldest: `SELECT version, version <= $5 AND at < (SELECT ` + now + `) - $6, ` + eventBytes + `
			FROM events WHERE group_id = $1 AND version > $2 AND version <= $3 ORDER BY version LIMIT $4`,
		trim:        `DELETE FROM events WHERE group_id = $1 AND version > $2 AND version <= $3`,
		forget:      forgetStatements(),
		forgetGroup: `DELETE FROM groups WHERE id = $1`,
	}
}

// duty is the work of a sweep in one group.
type duty struct {
	groupID         string
	first, last     int64 // the events to trim if they are old enough
	head            int64 // the last event, which is kept
	large           bool  // the log may have too many bytes
	deleted, forget bool
}

// oneOf returns the condition that a row is one of those that a query selects by key. On
// PostgreSQL it locks them and skips locked ones, and then reads no other rows, whatever
// the planner expects.
func oneOf(d database.Dialect, key, query string) string {
	if d == database.Postgres {
		return `ctid = ANY (ARRAY(SELECT ctid ` + query + ` FOR UPDATE SKIP LOCKED))`
	}
	return `(` + key + `) IN (SELECT ` + key + ` ` + query + `)`
}

// Trim implements [upkeep.Trimmer].
func (s *Store) Trim(ctx context.Context, r upkeep.Retention, limit int) (more bool, err error) {
	end := time.Now().Add(sweepFor)
	var duties []duty
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		duties, more = nil, false
		var rearm sql.NullString
		err := q.QueryRowContext(ctx, s.sql.sweep.lease, s.node, r.Count, r.Age.Microseconds(), r.Deleted.Microseconds(), r.Bytes).Scan(&rearm)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another node is sweeping
		}
		if err == nil && rearm.Valid {
			more, err = true, s.rearm(ctx, q, rearm.String)
		}
		if err != nil {
			return err
		}
		taken := 0
		duties, taken, err = s.take(ctx, q, r, limit)
		more = more || taken == limit
		return err
	})
	if err != nil {
		return false, doing(err, "find what is no longer kept", "")
	}
	again := make(map[string]int64)
	var failed []error
	for _, d := range duties {
		done := false
		if time.Now().Before(end) {
			if done, err = s.do(ctx, d, r, end); err != nil {
				failed = append(failed, fmt.Errorf("sweep group %s: %w", d.groupID, err))
				continue
			}
		}
		if !done || !d.deleted {
			again[d.groupID] = 0 // due again at once
		}
		more = more || !done
	}
	if len(again) > 0 {
		err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error { return s.setDue(ctx, q, again) })
		failed = append(failed, doing(err, "go on with a sweep", ""))
	}
	return more && ctx.Err() == nil, errors.Join(failed...)
}

// rearm makes groups due after the retention has changed.
func (s *Store) rearm(ctx context.Context, q database.Querier, after string) error {
	n, last := 0, ""
	err := each(ctx, q, s.sql.sweep.rearm, args{after}, func(scan scanner) error {
		var id string
		err := scan(&id)
		n, last = n+1, max(last, id)
		return err
	})
	if err != nil {
		return err
	}
	var next any
	if n > 0 {
		next = last
	}
	_, err = q.ExecContext(ctx, s.sql.sweep.armed, next)
	return err
}

// take takes due groups and returns the work to do now. It makes them due again for later
// work, and also for the case that the work fails.
//
// It reads the groups after it has taken them. So it sees every event that was committed
// before, and a later event makes its group due again.
func (s *Store) take(ctx context.Context, q database.Querier, r upkeep.Retention, limit int) (duties []duty, taken int, err error) {
	var ids []string
	err = each(ctx, q, s.sql.sweep.take, args{limit}, func(scan scanner) error {
		var id string
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil || len(ids) == 0 {
		return nil, 0, err
	}
	list, err := textList(ids)
	if err != nil {
		return nil, 0, err
	}
	due := make(map[string]int64)
	err = each(ctx, q, s.sql.sweep.look, args{list, r.Count, boundOf(r)}, func(scan scanner) error {
		var (
			d                    duty
			now                  int64
			counted              bool
			deleted, first, from sql.NullInt64
		)
		if err := scan(&d.groupID, &d.head, &deleted, &counted, &now, &d.large, &first, &from); err != nil {
			return err
		}
		d.first, d.last, d.deleted = first.Int64, d.head-int64(r.Count), deleted.Valid
		d.large = d.large && d.first < d.head
		long := first.Valid && d.first <= d.last
		forgotten, old := deleted.Int64+max(r.Deleted, group.MinDeletedKeep).Microseconds(), from.Int64+r.Age.Microseconds()
		switch {
		case deleted.Valid:
			due[d.groupID] = max(forgotten, now+sweepRetry.Microseconds())
			if d.forget = forgotten <= now; d.forget || counted {
				duties = append(duties, d)
			}
		case d.large || long && old < now:
			duties = append(duties, d)
			due[d.groupID] = now + sweepRetry.Microseconds()
		case long:
			due[d.groupID] = old + 1
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return duties, len(ids), s.setDue(ctx, q, due)
}

func (s *Store) setDue(ctx context.Context, q database.Querier, due map[string]int64) error {
	if len(due) == 0 {
		return nil
	}
	list, err := json.Marshal(due)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, s.sql.sweep.due, string(list))
	return err
}

// do does the work for a group until end. It reports whether it finished.
func (s *Store) do(ctx context.Context, d duty, r upkeep.Retention, end time.Time) (done bool, err error) {
	if !d.deleted {
		return s.trim(ctx, d, r, end)
	}
	if done, err := s.settle(ctx, d.groupID, end); !done || err != nil || !d.forget {
		return done, err
	}
	return s.forget(ctx, d.groupID, end)
}
