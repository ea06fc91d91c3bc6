package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

var _ upkeep.Erasures = (*Store)(nil)

const erasureColumns = `id, COALESCE(user_id, ''), stage, place, version, started_at, finished_at,
	groups_left, groups_handed_over, groups_ended, messages_blanked, events_blanked`

// erasureStatements store the jobs that erase users. A job is free once its claim has
// expired.
type erasureStatements struct{ set, read, free, claim, advance, finish string }

func newErasureStatements(d database.Dialect) erasureStatements {
	now := d.Now()
	none := func(table, userID, id string) string {
		return ` AND NOT EXISTS (` + firstOf(table, userID, id, "$2") + `)`
	}
	return erasureStatements{
		// An existing job keeps its row. The update only makes RETURNING return it.
		set: `INSERT INTO erasures (id, user_id, stage, place, version, until, started_at) VALUES ($1, $2, 0, '', 0, 0, ` + now + `)
			ON CONFLICT (user_id) WHERE user_id IS NOT NULL DO UPDATE SET stage = erasures.stage RETURNING id`,
		read: `SELECT ` + erasureColumns + ` FROM erasures WHERE id = $1`,
		free: `SELECT COALESCE((SELECT MIN(until) FROM erasures WHERE finished_at IS NULL) < (SELECT ` + now + `), FALSE)`,
		claim: fmt.Sprintf(`UPDATE erasures SET until = %s + %d WHERE `, now, upkeep.EraseClaim.Microseconds()) +
			oneOf(d, "id", `FROM erasures WHERE finished_at IS NULL AND until < (SELECT `+now+`) ORDER BY until LIMIT 1`) + ` RETURNING ` + erasureColumns,
		advance: `UPDATE erasures SET stage = $2, place = $3, version = $4, until = ` + now + ` + $5 WHERE id = $1 AND finished_at IS NULL`,
		finish: `UPDATE erasures SET user_id = NULL, place = '', finished_at = ` + now + ` WHERE id = $1 AND finished_at IS NULL
			AND ` + traced("$2") + ` = '' AND NOT EXISTS (SELECT 1 FROM renames WHERE user_id = $2)` +
			none("receipts", "user_id", "key") + none("receipt_users", "user_id", "owner") +
			none("audit", "user_id", "id") + none("audit", "actor", "id") + none("audit_users", "user_id", "entry_id"),
	}
}

const countErased = `UPDATE erasures SET groups_left = groups_left + $2, groups_handed_over = groups_handed_over + $3,
	groups_ended = groups_ended + $4, messages_blanked = messages_blanked + $5, events_blanked = events_blanked + $6 WHERE id = $1`

func erasureOf(row *sql.Row) (e group.Erasure, err error) {
	var (
		started  int64
		finished sql.NullInt64
		n        = &e.Erased
	)
	err = row.Scan(&e.ID, &e.UserID, &e.Stage, &e.Place, &e.Version, &started, &finished,
		&n.GroupsLeft, &n.GroupsHandedOver, &n.GroupsEnded, &n.MessagesBlanked, &n.EventsBlanked)
	e.StartedAt, e.FinishedAt = instant(started), optionalInstant(finished)
	return e, err
}

// SetErasure implements [group.Erasures].
func (s *Store) SetErasure(ctx context.Context, id, userID string, recorded ...audit.Entry) (jobID string, err error) {
	if !storable(userID) {
		return "", errNoText
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		err := q.QueryRowContext(ctx, s.sql.erasures.set, id, userID).Scan(&jobID)
		if err != nil || jobID != id {
			return err
		}
		return sqlaudit.Insert(ctx, q, recorded...)
	})
	return jobID, doing(err, "store job", id)
}

// Erasure implements [group.Erasures].
func (s *Store) Erasure(ctx context.Context, id string) (e group.Erasure, err error) {
	if !storable(id) {
		id = ""
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var err error
		e, err = erasureOf(q.QueryRowContext(ctx, s.sql.erasures.read, id))
		return notFound(err)
	})
	return e, doing(err, "read job", id)
}

// ClaimErasure implements [upkeep.Erasures]. It reads before it writes, because there is
// rarely a job.
func (s *Store) ClaimErasure(ctx context.Context) (e *group.Erasure, err error) {
	free := false
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, s.sql.erasures.free).Scan(&free)
	})
	if err == nil && free {
		err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			claimed, err := erasureOf(q.QueryRowContext(ctx, s.sql.erasures.claim))
			e = nil
			if errors.Is(err, sql.ErrNoRows) {
				return nil // another node was first
			}
			e = &claimed
			return err
		})
	}
	return e, doing(err, "claim a job that erases a user", "")
}

// AdvanceErasure implements [upkeep.Erasures].
func (s *Store) AdvanceErasure(ctx context.Context, e group.Erasure, wait time.Duration) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.sql.erasures.advance, e.ID, int(e.Stage), e.Place, e.Version, wait.Microseconds())
		return err
	})
	return doing(err, "go on with job", e.ID)
}

// FinishErasure implements [upkeep.Erasures].
func (s *Store) FinishErasure(ctx context.Context, e group.Erasure) (done bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		n, err := affect(ctx, q, s.sql.erasures.finish, e.ID, e.UserID)
		done = n > 0
		return err
	})
	return done, doing(err, "finish job", e.ID)
}

// CountErased implements [group.ErasureTx].
func (t *tx) CountErased(ctx context.Context, jobID string, e group.Erased) error {
	_, err := t.q.ExecContext(ctx, countErased, jobID, e.GroupsLeft, e.GroupsHandedOver, e.GroupsEnded, e.MessagesBlanked, e.EventsBlanked)
	if err != nil {
		return fmt.Errorf("count for job %s: %w", jobID, err)
	}
	return nil
}
