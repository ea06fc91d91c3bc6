// Package sqlhooks keeps hooks, and their positions in each group, in SQL. See [Store] and
// [Presence].
//
// An event marks its group (heads.hook_at) in its own transaction. Spread takes marks and
// makes the groups due for every hook. It takes a mark only if no event of the group is
// about to be committed, and reads the group's version afterwards. So the events of a taken
// mark are visible, and a later event sets the mark again.
package sqlhooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/hook"
)

// parked is the due_at of a group that is not retried.
const parked = math.MaxInt64

// backing is the database of a store: a [database.DB].
type backing interface {
	Dialect() database.Dialect
	View(ctx context.Context, fn database.Func) error
	Write(ctx context.Context, fn database.Func) error
}

// Store keeps hooks and positions. It is safe for concurrent use.
type Store struct {
	positions

	sql statements
}

var (
	_ hook.Definitions = (*Store)(nil)
	_ hook.Positions   = (*Store)(nil)
	_ hook.Spreader    = (*Store)(nil)
	_ hook.Replays     = (*Store)(nil)
)

// New returns a store on db.
func New(db *database.DB) *Store { return on(db) }

func on(db backing) *Store {
	d := db.Dialect()
	upto := fmt.Sprintf(`CASE WHEN head > version + %[1]d THEN version + %[1]d ELSE head END`, hook.MaxEvents)
	texts := newTurnStatements(d, eventTable, turnColumns, upto, seeks)
	scan := func(scan scanner, hookID string) (hook.Turn, error) { return scanTurn(scan, hookID) }
	return &Store{positions: positions{db: db, texts: texts, scan: scan}, sql: newStatements(d)}
}

type scanner func(dest ...any) error

// each calls fn with the rows of a query.
func each(ctx context.Context, q database.Querier, fn func(scan scanner) error, text string, args ...any) error {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports errors
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func doing(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

func optional(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	at := instant(micros.Int64)
	return &at
}

func list(texts []string) (string, error) {
	encoded, err := json.Marshal(texts)
	return string(encoded), err
}
