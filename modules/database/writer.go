package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

// A commit is shared by at most this many writes, and by those that are there
// within this time: so that the first one is not kept waiting by the rest.
const (
	maxGathered = 512
	maxGather   = 20 * time.Millisecond
)

// writer is SQLite's one writer. A goroutine of its own takes what waits,
// runs each function in a savepoint of one transaction, and commits once for
// all: while the disk syncs, the next transaction's writes gather.
type writer struct {
	pool     *sql.DB
	requests chan *request
	quit     chan struct{}
	done     chan struct{}
	commits  atomic.Int64

	conn *sql.Conn // nil until the first write, and after a failure
	run  statements
}

// request is one call of write. The two goroutines meet in state, so that a
// caller who gives up never leaves while his function runs.
type request struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call
	fn      Func
	state   atomic.Int32
	ran     chan struct{} // closed when fn has run
	outcome chan error    // one value
	err     error         // what fn returned
	panic   any           // what fn panicked with
}

const (
	waiting int32 = iota
	running
	abandoned
)

func startWriter(pool *sql.DB) *writer {
	w := &writer{
		pool:     pool,
		requests: make(chan *request),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	go w.loop()
	return w
}

func (w *writer) stop() {
	close(w.quit)
	<-w.done
}

// write returns once fn is committed. When ctx ends before that, fn was
// either not run or its outcome is not known.
func (w *writer) write(ctx context.Context, fn Func) error {
	r := &request{ctx: ctx, fn: fn, ran: make(chan struct{}), outcome: make(chan error, 1)}
	select {
	case w.requests <- r:
	case <-ctx.Done():
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	case <-w.quit:
		return errClosed
	}
	var err error
	select {
	case err = <-r.outcome:
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return fmt.Errorf("wait for the writer: %w", ctx.Err())
		}
		<-r.ran
		select {
		case err = <-r.outcome:
		default:
			err = fmt.Errorf("wait for the commit: %w", ctx.Err())
		}
	}
	if r.panic != nil {
		panic(r.panic) // where it belongs: in the goroutine that passed fn
	}
	return err
}

func (w *writer) loop() {
	defer close(w.done)
	defer w.drop()
	for {
		select {
		case r := <-w.requests:
			w.batch(r)
		case <-w.quit:
			return
		}
	}
}

// batch runs first and what waits behind it in one transaction.
func (w *writer) batch(first *request) {
	ran, err := w.gather(first)
	if err == nil {
		err = w.exec("COMMIT")
		w.commits.Add(1)
	}
	if err != nil {
		_ = w.exec("ROLLBACK") // fails where SQLite has rolled back by itself
		// Whatever one function met, to the others it is a database that failed.
		err = fault.ErrUnavailable.WithCause(err)
	}
	for _, r := range ran {
		if err != nil {
			r.outcome <- err
			continue
		}
		r.outcome <- r.err
	}
}

// gather returns what has run in the open transaction; with an error, the
// transaction is lost.
func (w *writer) gather(first *request) ([]*request, error) {
	ran := []*request{first}
	if err := w.begin(); err != nil {
		if first.state.CompareAndSwap(waiting, running) {
			close(first.ran)
		}
		return ran, err
	}
	start := time.Now()
	if err := w.savepoint(first); err != nil {
		return ran, err
	}
	for len(ran) < maxGathered && time.Since(start) < maxGather {
		select {
		case r := <-w.requests:
			ran = append(ran, r)
			if err := w.savepoint(r); err != nil {
				return ran, err
			}
		default:
			return ran, nil
		}
	}
	return ran, nil
}

// savepoint runs one function so that its failure undoes nothing else. An
// error means that the whole transaction is lost.
func (w *writer) savepoint(r *request) error {
	if !r.state.CompareAndSwap(waiting, running) {
		return nil
	}
	defer close(r.ran)
	if err := w.exec("SAVEPOINT change"); err != nil {
		return err
	}
	if r.err = w.call(r); r.err != nil {
		if err := w.exec("ROLLBACK TO change"); err != nil {
			// A full disk and the like make SQLite roll back by itself: then
			// fn's error says more than that there is no savepoint.
			return fmt.Errorf("undo a change: %w", errors.Join(r.err, err))
		}
	}
	return w.exec("RELEASE change")
}

func (w *writer) call(r *request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.panic = v
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return r.fn(r.ctx, uninterrupted{w.run})
}

func (w *writer) begin() error {
	ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
	defer cancel()
	if w.conn == nil {
		conn, err := w.pool.Conn(ctx)
		if err != nil {
			return err
		}
		w.conn = conn
		w.run = statements{texts: newTexts(conn.PrepareContext), direct: conn}
	}
	err := w.exec("BEGIN IMMEDIATE")
	if err != nil {
		w.drop() // the next one begins with a connection that has no past
	}
	return err
}

func (w *writer) exec(query string) error {
	if w.conn == nil {
		return errClosed
	}
	_, err := w.run.ExecContext(context.Background(), query)
	return err
}

func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	w.run.texts.close()
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it for good
	_ = w.conn.Close()
	w.conn = nil
}

// uninterrupted runs statements to their end: SQLite answers an interrupted
// one by rolling back the transaction that other callers share. No statement
// begins after its context has ended.
type uninterrupted struct{ q statements }

func (u uninterrupted) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return u.q.ExecContext(shield(ctx), query, args...)
}

func (u uninterrupted) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return u.q.QueryContext(shield(ctx), query, args...)
}

func (u uninterrupted) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return u.q.QueryRowContext(shield(ctx), query, args...)
}

func shield(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx // the driver answers its error before it does anything
	}
	return context.WithoutCancel(ctx)
}
