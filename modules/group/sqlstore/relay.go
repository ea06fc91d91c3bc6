package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// relayFor limits the time of one relay, because rows stay locked meanwhile and the
// database's deadline allows 5 s for everything. The next relay continues.
const relayFor = 2 * time.Second

// place is the position of a row in the outbox.
type place struct {
	createdAt int64
	groupID   string
	version   int64
}

// outboxCursor is where the next relay begins: after the rows that the last one tried. So
// rows that cannot be published do not delay others. At the end of the outbox it returns to
// the beginning.
type outboxCursor struct {
	mu    sync.Mutex
	after place
}

func (c *outboxCursor) get() place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.after
}

func (c *outboxCursor) set(after place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = after
}

// waiting is a row of the outbox.
type waiting struct {
	event *group.Event // nil if it was removed from the log
	place place
}

// relayStatement selects the rows of a batch, and then their events by key, one by one. So
// it reads no other events, whatever the planner expects.
func relayStatement(d database.Dialect) string {
	rows := `SELECT created_at, group_id, version FROM outbox
		WHERE created_at < (SELECT ` + d.Now() + `) - $1 AND (created_at, group_id, version) > ($3, $4, $5)
		ORDER BY created_at, group_id, version LIMIT $2`
	events := `LEFT JOIN events e ON e.group_id = o.group_id AND e.version = o.version`
	if d == database.Postgres {
		rows += ` FOR UPDATE SKIP LOCKED`
		events = `LEFT JOIN LATERAL (SELECT * FROM events WHERE group_id = o.group_id AND version = o.version OFFSET 0) e ON TRUE`
	}
	return `WITH o AS MATERIALIZED (` + rows + `)
		SELECT o.created_at, o.group_id, o.version, e.type, e.actor, e.data, e.at FROM o ` + events + `
		ORDER BY o.created_at, o.group_id, o.version`
}

// batch describes the rows of one relay: those older than age, after a position.
type batch struct {
	age   int64 // microseconds
	limit int
	after place
}

func (b batch) args() args {
	return args{b.age, b.limit, b.after.createdAt, b.after.groupID, b.after.version}
}

// Relay publishes old events that are not marked as published.
func (s *Store) Relay(ctx context.Context, age time.Duration, limit int, publish func(group.Event) error) (int, error) {
	relay := s.relayLocked
	if s.db.Dialect() == database.SQLite {
		relay = s.relayAlone
	}
	tried, next, err := relay(ctx, batch{age.Microseconds(), limit, s.outbox.get()}, publish)
	if err != nil {
		return 0, doing(err, "relay events", "")
	}
	s.outbox.set(next)
	return tried, nil
}

// relayLocked publishes while it holds locks on the rows, so that relays on other nodes
// skip them. If there are no rows, it begins no transaction.
func (s *Store) relayLocked(ctx context.Context, due batch, publish func(group.Event) error) (tried int, next place, err error) {
	waits := false
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, s.sql.waits, due.age).Scan(&waits)
	})
	if err != nil || !waits {
		return 0, place{}, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		rows, err := s.due(ctx, q, due)
		if err != nil {
			return err
		}
		var sent []group.Ref
		sent, tried, next = publishEach(ctx, rows, due.limit, publish)
		return s.mark(ctx, q, sent)
	})
	return tried, next, err
}

// relayAlone publishes outside of a transaction, because on SQLite a transaction would
// block all other writers. With SQLite there is only one node.
func (s *Store) relayAlone(ctx context.Context, due batch, publish func(group.Event) error) (tried int, next place, err error) {
	select {
	case s.relaying <- struct{}{}:
		defer func() { <-s.relaying }()
	case <-ctx.Done():
		return 0, place{}, ctx.Err()
	}
	var rows []waiting
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) (err error) {
		rows, err = s.due(ctx, q, due)
		return err
	})
	if err != nil {
		return 0, place{}, err
	}
	sent, tried, next := publishEach(ctx, rows, due.limit, publish)
	return tried, next, s.Published(ctx, sent)
}

func (s *Store) due(ctx context.Context, q database.Querier, due batch) (rows []waiting, err error) {
	err = each(ctx, q, s.sql.relay, due.args(), func(scan scanner) error {
		var (
			p               place
			typ, actor, raw sql.NullString
			at              sql.NullInt64
		)
		if err := scan(&p.createdAt, &p.groupID, &p.version, &typ, &actor, &raw, &at); err != nil {
			return err
		}
		row := waiting{place: p}
		if typ.Valid {
			row.event = &group.Event{
				GroupID: p.groupID, Version: p.version, Type: group.EventType(typ.String),
				Data: json.RawMessage(raw.String), At: instant(at.Int64),
			}
			if actor.Valid {
				row.event.Actor = &actor.String
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// publishEach tries rows in turn. It returns the rows that publish accepted and those
// without an event, the number of rows tried, and where the next relay begins.
func publishEach(ctx context.Context, rows []waiting, limit int, publish func(group.Event) error) (sent []group.Ref, tried int, next place) {
	start := time.Now()
	for _, row := range rows {
		if ctx.Err() != nil || time.Since(start) > relayFor {
			break
		}
		if row.event == nil || publish(*row.event) == nil {
			sent = append(sent, group.Ref{GroupID: row.place.groupID, Version: row.place.version})
		}
		tried++
		next = row.place
	}
	if tried == len(rows) && tried < limit {
		next = place{} // at the end of the outbox
	}
	return sent, tried, next
}
