// Package sqlaudit keeps the audit log in SQL. Other stores call [Insert] in the
// transaction of a change. [Store] lists and removes entries.
package sqlaudit

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
)

const (
	// pageBytes is the size of text at which a page ends. It is at least the size that an
	// HTTP answer has room for.
	pageBytes = 256 << 10
	// A page is read in chunks, each larger than the last. Chunks avoid unread rows: a
	// database sends all rows that a statement asks for.
	firstRows  = 8
	rowsGrowth = 4
)

// backing is the database of a store: a [database.DB].
type backing interface {
	Dialect() database.Dialect
	View(ctx context.Context, fn database.Func) error
	Write(ctx context.Context, fn database.Func) error
}

// Store keeps entries. It is safe for concurrent use.
type Store struct {
	db                             backing
	all, ofActor, ofTarget, ofBoth string
	expire                         string
}

var _ audit.Log = (*Store)(nil)

const columns = `id, at, actor, via, action, group_id, user_id, before, after, request_id`

const insert = `INSERT INTO audit (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// othersAtOnce is the number of users that one statement stores.
const othersAtOnce = 50

var otherOne, otherMany = insertOther(1), insertOther(othersAtOnce)

func insertOther(n int) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`($%d, $1)`, i+2)
	}
	return `INSERT INTO audit_users (user_id, entry_id) VALUES ` + strings.Join(rows, ", ") + ` ON CONFLICT (user_id, entry_id) DO NOTHING`
}

// New returns a store on db.
func New(db backing) *Store {
	// An entry is about a group, a user, or both. Each is looked up by its own index, which
	// also has the order.
	part := func(where string) string {
		return `SELECT ` + columns + ` FROM audit WHERE ` + where + `id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3`
	}
	target := func(where string) string {
		return `SELECT * FROM (` + part(`group_id = $4 AND `+where) + `) g
			UNION ALL SELECT * FROM (` + part(`user_id = $4 AND group_id <> $4 AND `+where) + `) u ORDER BY id DESC LIMIT $3`
	}
	oldest := `SELECT id FROM audit WHERE id < $1 ORDER BY id LIMIT $2`
	expire := `DELETE FROM audit WHERE id IN (` + oldest + `)`
	if db.Dialect() == database.Postgres { // several nodes may sweep
		expire = `DELETE FROM audit WHERE id = ANY (ARRAY(` + oldest + ` FOR UPDATE SKIP LOCKED))`
	}
	return &Store{
		db:       db,
		all:      part(``),
		ofActor:  part(`actor = $4 AND `),
		ofTarget: target(``),
		ofBoth:   target(`actor || '' = $5 AND `), // do not use the index of actors, which has all entries of an actor
		expire:   expire,
	}
}

// Insert stores entries in the transaction of q.
func Insert(ctx context.Context, q database.Querier, entries ...audit.Entry) error {
	for _, e := range entries {
		_, err := q.ExecContext(ctx, insert, e.ID, e.At.UnixMicro(), e.Actor, e.Via, e.Action, e.GroupID, e.UserID, string(e.Before), string(e.After), e.RequestID)
		if err != nil {
			return fmt.Errorf("store an audit entry: %w", err)
		}
		if err := insertOthers(ctx, q, e); err != nil {
			return err
		}
	}
	return nil
}

// insertOthers stores the other users that an entry names, several in one statement. There
// are only two statements, because connections keep prepared statements.
func insertOthers(ctx context.Context, q database.Querier, e audit.Entry) error {
	users, err := others(e)
	if err != nil {
		return err
	}
	for few := range slices.Chunk(users, othersAtOnce) {
		text, args := otherMany, []any{e.ID}
		if len(few) == 1 {
			text = otherOne
		}
		for i := range othersAtOnce {
			args = append(args, few[min(i, len(few)-1)]) // repeating the last one does no harm
			if len(few) == 1 {
				break
			}
		}
		if _, err := q.ExecContext(ctx, text, args...); err != nil {
			return fmt.Errorf("store whom an audit entry names: %w", err)
		}
	}
	return nil
}

// Record stores an entry without a transaction of a change.
func (s *Store) Record(ctx context.Context, e audit.Entry) error {
	return s.db.Write(ctx, func(ctx context.Context, q database.Querier) error { return Insert(ctx, q, e) })
}

var errCursor = fault.ErrBadRequest.WithMessage("the cursor is not one of this list")

// Entries implements [audit.Log]. It returns a fault for an invalid cursor, because cursors
// are in the addresses of pages.
func (s *Store) Entries(ctx context.Context, f audit.Filter, before string, limit int) (entries []audit.Entry, err error) {
	if strings.Trim(before, "0123456789abcdef-") != "" {
		return nil, errCursor
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		entries = []audit.Entry{}
		from, size := before, 0
		for chunk := firstRows; len(entries) < limit; chunk *= rowsGrowth {
			rows := min(chunk, limit-len(entries))
			found, err := s.read(ctx, q, f, from, rows)
			if err != nil {
				return err
			}
			for _, e := range found {
				if len(entries) > 1 && size > pageBytes {
					return nil
				}
				size += len(e.Before) + len(e.After)
				entries, from = append(entries, e), e.ID
			}
			if len(found) < rows {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return entries, nil
}

func (s *Store) read(ctx context.Context, q database.Querier, f audit.Filter, before string, limit int) ([]audit.Entry, error) {
	if before == "" {
		before = "g" // greater than every id
	}
	args := []any{before, firstID(f.Since), limit}
	text := s.all
	switch {
	case f.Target != "" && f.Actor != "":
		text, args = s.ofBoth, append(args, f.Target, f.Actor)
	case f.Target != "":
		text, args = s.ofTarget, append(args, f.Target)
	case f.Actor != "":
		text, args = s.ofActor, append(args, f.Actor)
	}
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports errors
	var entries []audit.Entry
	for rows.Next() {
		var (
			e             audit.Entry
			at            int64
			before, after string
		)
		if err := rows.Scan(&e.ID, &at, &e.Actor, &e.Via, &e.Action, &e.GroupID, &e.UserID, &before, &after, &e.RequestID); err != nil {
			return nil, err
		}
		e.At, e.Before, e.After = time.UnixMicro(at).UTC(), json.RawMessage(before), json.RawMessage(after)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// ExpireAudit removes at most limit entries that are older than keep. It returns the number
// of removed entries.
func (s *Store) ExpireAudit(ctx context.Context, keep time.Duration, limit int) (removed int, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		result, err := q.ExecContext(ctx, s.expire, firstID(time.Now().Add(-keep)), limit)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		removed = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("remove old audit entries: %w", err)
	}
	return removed, nil
}

// firstID returns a text that is less than the ids of all entries from at on, and greater
// than all earlier ids. An id begins with 48 bits of milliseconds, and the rest has no
// order.
func firstID(at time.Time) string {
	ms := int64(math.Ceil(float64(at.UnixMicro()) / 1000))
	if at.IsZero() || ms <= 0 {
		return ""
	}
	return fmt.Sprintf("%08x-%04x", ms>>16, ms&0xffff)
}
