package durable

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// bare uses the database without Moim: only the driver and prepared statements, and no permission
// checks.
type bare struct {
	pool     *sql.DB
	prepared map[string]*sql.Stmt // for SQLite; pgx prepares statements by itself
}

const (
	moved        = `UPDATE groups SET version = version + 1, messages = messages + $2, member_count = member_count + $3, moved_at = $4 WHERE id = $1 RETURNING version, messages`
	insertEvent  = `INSERT INTO events (group_id, version, type, actor, data, at, messages) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	insertOutbox = `INSERT INTO outbox (group_id, version, created_at) VALUES ($1, $2, $3)`
	moveMark     = `UPDATE members SET read_version = $3, read_messages = $4 WHERE group_id = $1 AND user_id = $2`
	insertMember = `INSERT INTO members (group_id, user_id, name, role, attributes, joined_at, read_version, read_messages) VALUES ($1, $2, $3, 'member', '{}', $4, $5, $6)`
	selectEvents = `SELECT group_id, version, type, actor, data, at FROM events WHERE group_id = $1 AND version > $2 ORDER BY version LIMIT $3`
)

// openBare opens a database that a node created and closed. It uses as many connections and the
// same durability as the node. On SQLite, it opens either the writing connection or the reading
// ones.
func openBare(b *testing.B, at string, dialect database.Dialect, reads bool) *bare {
	b.Helper()
	db := &bare{}
	if dialect == database.Postgres {
		cfg, err := pgx.ParseConfig(at)
		if err != nil {
			b.Fatal(err)
		}
		db.pool = stdlib.OpenDB(*cfg)
		db.pool.SetMaxOpenConns(20)
		db.pool.SetMaxIdleConns(20)
	} else {
		pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
			"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)", "cache_size(-16000)",
		}}
		pool, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(at, "sqlite:")+"?"+pragmas.Encode())
		if err != nil {
			b.Fatal(err)
		}
		pool.SetMaxOpenConns(1)
		if readers := max(4, runtime.GOMAXPROCS(0)); reads {
			pool.SetMaxOpenConns(readers)
			pool.SetMaxIdleConns(readers)
		}
		db.pool, db.prepared = pool, make(map[string]*sql.Stmt)
		for _, text := range []string{moved, insertEvent, insertOutbox, moveMark, insertMember, selectEvents} {
			if db.prepared[text], err = pool.PrepareContext(b.Context(), text); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Cleanup(func() { _ = db.pool.Close() })
	return db
}

// change writes one event and the related rows in one transaction.
func (db *bare) change(ctx context.Context, e group.Event, messages, members int, rest func(tx bareTx, version, messages, now int64) error) error {
	inner, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = inner.Rollback() }()
	tx := bareTx{ctx, inner, db.prepared}
	now := time.Now().UnixMicro()
	var version, count int64
	if err := tx.row(moved, e.GroupID, messages, members, now).Scan(&version, &count); err != nil {
		return err
	}
	if err := tx.exec(insertEvent, e.GroupID, version, string(e.Type), *e.Actor, string(e.Data), now, count); err != nil {
		return err
	}
	if err := tx.exec(insertOutbox, e.GroupID, version, now); err != nil {
		return err
	}
	if err := rest(tx, version, count, now); err != nil {
		return err
	}
	return inner.Commit()
}

// events reads a part of a log.
func (db *bare) events(ctx context.Context, groupID string, since int64, limit int) ([]group.Event, error) {
	var (
		rows *sql.Rows
		err  error
	)
	if st := db.prepared[selectEvents]; st != nil {
		rows, err = st.QueryContext(ctx, groupID, since, limit)
	} else {
		rows, err = db.pool.QueryContext(ctx, selectEvents, groupID, since, limit)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []group.Event
	for rows.Next() {
		var (
			e     group.Event
			actor sql.NullString
			data  string
			at    int64
		)
		if err := rows.Scan(&e.GroupID, &e.Version, (*string)(&e.Type), &actor, &data, &at); err != nil {
			return nil, err
		}
		e.Data, e.At = json.RawMessage(data), time.UnixMicro(at).UTC()
		if actor.Valid {
			e.Actor = &actor.String
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

type bareTx struct {
	ctx      context.Context
	inner    *sql.Tx
	prepared map[string]*sql.Stmt
}

func (tx bareTx) exec(query string, args ...any) error {
	if st := tx.prepared[query]; st != nil {
		_, err := tx.inner.StmtContext(tx.ctx, st).ExecContext(tx.ctx, args...)
		return err
	}
	_, err := tx.inner.ExecContext(tx.ctx, query, args...)
	return err
}

func (tx bareTx) row(query string, args ...any) *sql.Row {
	if st := tx.prepared[query]; st != nil {
		return tx.inner.StmtContext(tx.ctx, st).QueryRowContext(tx.ctx, args...)
	}
	return tx.inner.QueryRowContext(tx.ctx, query, args...)
}
