package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// relayFor is how long one relay publishes. What is left over waits for the
// next one: rows stay locked meanwhile, and marking must still be in time.
const relayFor = 2 * time.Second

// place is a row's place in the outbox.
type place struct {
	createdAt int64
	groupID   string
	version   int64
}

// outboxCursor is where the next relay begins: behind the rows that the last
// one tried, so that rows which cannot be published keep no others waiting. At
// the end of the outbox it goes back to the beginning.
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
	event group.Event
	place place
}

// batch is what one relay asks for: rows older than age, behind a place.
type batch struct {
	age   int64 // microseconds
	limit int
	after place
}

func (b batch) args() args {
	return args{b.age, b.limit, b.after.createdAt, b.after.groupID, b.after.version}
}

// Relay publishes what was committed a while ago and is not marked published.
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

// relayLocked publishes while it holds the rows, so that other nodes' relays
// leave them out. Mostly there is nothing to publish, and no transaction begins.
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

// relayAlone publishes outside of a transaction, because on SQLite it would
// keep every writer waiting. There is no other node, only another call.
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
			row eventRow
			at  int64
		)
		err := scan(append(row.fields(), &at)...)
		e := row.event()
		rows = append(rows, waiting{e, place{at, e.GroupID, e.Version}})
		return err
	})
	return rows, err
}

// publishEach tries rows in turn. It returns those that publish accepted, how
// many it tried, and behind which place the next relay begins.
func publishEach(ctx context.Context, rows []waiting, limit int, publish func(group.Event) error) (sent []group.Ref, tried int, next place) {
	start := time.Now()
	for _, row := range rows {
		if ctx.Err() != nil || time.Since(start) > relayFor {
			break
		}
		if publish(row.event) == nil {
			sent = append(sent, group.Ref{GroupID: row.event.GroupID, Version: row.event.Version})
		}
		tried++
		next = row.place
	}
	if tried == len(rows) && tried < limit {
		next = place{} // that was the end of the outbox
	}
	return sent, tried, next
}
