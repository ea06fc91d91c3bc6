package sqlhooks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/hook"
)

// positions is one of the tables of positions, with the operations that both have.
type positions struct {
	db    backing
	texts turnStatements
	scan  func(scan scanner, hookID string) (hook.Turn, error)
}

type turnStatements struct{ claim, claimEarly, narrow, failed, release, revive string }

// newTurnStatements returns the statements for a table. columns are the columns of a turn,
// upto is the end of a new turn's delivery, and seeks is the condition that the position
// must move first.
func newTurnStatements(d database.Dialect, table, columns, upto, seeks string) turnStatements {
	now := d.Now()
	early := fmt.Sprintf(`due_at < %d`, int64(parked))
	// claim claims the rows that a condition selects, in the order of due_at.
	claim := func(where string) string {
		return fmt.Sprintf(`UPDATE %[1]s SET claim = claim + 1, claimed = TRUE, due_at = %[2]s + %[3]d, upto = CASE WHEN upto > version THEN upto ELSE %[4]s END WHERE `,
			table, now, hook.Lease.Microseconds(), upto) +
			someOf(d, "group_id, hook_id", `FROM `+table+` WHERE hook_id = $1 AND `+where+`
			AND EXISTS (SELECT 1 FROM hooks WHERE id = $1 AND enabled = TRUE AND deleted_at IS NULL AND paused_until <= (SELECT `+now+`))
			ORDER BY due_at LIMIT $2`) + ` RETURNING ` + columns
	}
	return turnStatements{
		claim:      claim(`due_at <= (SELECT ` + now + `)`),
		claimEarly: claim(early + ` AND (claimed = FALSE OR due_at <= (SELECT ` + now + `))`),
		narrow:     `UPDATE ` + table + ` SET upto = $4 WHERE ` + ofTurn,
		failed: fmt.Sprintf(`UPDATE %[5]s SET attempts = attempts + 1, failed_at = COALESCE(failed_at, %[1]s), status = $4, problem = $5, unreachable = $6, claimed = FALSE,
			parked_at = CASE WHEN failed_at <= %[1]s - %[2]d AND NOT %[4]s THEN %[1]s END,
			due_at = CASE WHEN %[4]s THEN %[1]s WHEN failed_at <= %[1]s - %[2]d THEN %[3]d ELSE %[1]s + CAST($7 AS BIGINT) END
			WHERE `+ofTurn+` RETURNING parked_at IS NOT NULL`, now, hook.Patience.Microseconds(), int64(parked), seeks, table),
		release: `UPDATE ` + table + ` SET claimed = FALSE, due_at = ` + now + ` WHERE ` + ofTurn,
		revive: hurry(d, table) + someOf(d, "group_id, hook_id", `FROM `+table+` WHERE `+later(d)+` AND `+early+
			` AND unreachable = TRUE ORDER BY due_at LIMIT $2`),
	}
}

func (p positions) exec(ctx context.Context, what, text string, args ...any) (n int64, err error) {
	err = p.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		result, err := q.ExecContext(ctx, text, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, doing(err, what)
}

// Claim implements [hook.Positions].
func (p positions) Claim(ctx context.Context, hookID string, limit int, early bool) (turns []hook.Turn, err error) {
	text := p.texts.claim
	if early {
		text = p.texts.claimEarly
	}
	err = p.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		turns = nil
		return each(ctx, q, func(scan scanner) error {
			t, err := p.scan(scan, hookID)
			turns = append(turns, t)
			return err
		}, text, hookID, limit)
	})
	return turns, doing(err, "claim groups of a hook")
}

// Narrow implements [hook.Positions].
func (p positions) Narrow(ctx context.Context, t hook.Turn, upto int64) (bool, error) {
	n, err := p.exec(ctx, "shorten a delivery", p.texts.narrow, t.GroupID, t.HookID, t.Claim, upto)
	return n == 1, err
}

// Failed implements [hook.Positions].
func (p positions) Failed(ctx context.Context, t hook.Turn, f hook.Failure) (parked bool, err error) {
	err = p.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		parked = false
		err := q.QueryRowContext(ctx, p.texts.failed, t.GroupID, t.HookID, t.Claim, f.Status, f.Problem, f.Unreachable, f.Retry.Microseconds()).Scan(&parked)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return parked, doing(err, "record a failed delivery")
}

// Release implements [hook.Positions].
func (p positions) Release(ctx context.Context, t hook.Turn) error {
	_, err := p.exec(ctx, "end a claim", p.texts.release, t.GroupID, t.HookID, t.Claim)
	return err
}

// Revive implements [hook.Positions].
func (p positions) Revive(ctx context.Context, hookID string, limit int) (int, error) {
	n, err := p.exec(ctx, "try groups of a hook again", p.texts.revive, hookID, limit)
	return int(n), err
}
