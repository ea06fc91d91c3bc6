package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

const (
	// maxGathered and maxGather bound how many changes share a commit, and for
	// how long they are collected: so that the first one is not kept waiting.
	maxGathered = 512
	maxGather   = 20 * time.Millisecond

	// maxRun bounds how long one change may run while others wait. It is less
	// than defaultTimeout, so that the changes behind a slow one are in time.
	maxRun = 3 * time.Second
)

var errTooLong = errors.New("the change ran for too long while others waited")

// writer is SQLite's one writer. A goroutine of its own takes the changes that
// wait, runs each in a savepoint of one transaction, and commits once for all:
// while the disk syncs, the next transaction's changes gather.
//
// A statement that is interrupted, or that finds the disk full, makes SQLite
// roll back the whole transaction. Then the other changes run again, without
// that one.
type writer struct {
	pool     *sql.DB
	requests chan *request
	quit     chan struct{}
	done     chan struct{}
	commits  atomic.Int64
	callers  atomic.Int64 // callers of write

	conn      *sql.Conn // nil until the first write, and after a failure
	interrupt func()    // ends the statement that runs on conn
	run       statements
}

// request is one call of write.
type request struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call
	fn      Func
	outcome chan error // gets one value

	mu    sync.Mutex // held while fn runs, so that the caller does not return before
	left  bool       // the caller has returned: fn must not run
	err   error      // what fn returned
	panic any        // what fn panicked with
}

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

// write returns once fn is committed. When ctx ends before that, the outcome
// of fn is not known. fn does not run after write has returned.
func (w *writer) write(ctx context.Context, fn Func) error {
	w.callers.Add(1)
	defer w.callers.Add(-1)
	r := &request{ctx: ctx, fn: fn, outcome: make(chan error, 1)}
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
		err = r.leave()
	}
	if r.panic != nil {
		panic(r.panic) // where it belongs: in the goroutine that passed fn
	}
	return err
}

// leave returns the outcome if there is one. It waits for fn while that runs.
func (r *request) leave() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
	select {
	case err := <-r.outcome:
		return err
	default:
		return fmt.Errorf("wait for the commit: %w", r.ctx.Err())
	}
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

// batch runs first, and the changes that wait behind it, in one transaction,
// and answers them all. Where one loses the transaction, the others run again.
func (w *writer) batch(first *request) {
	changes, wait := []*request{first}, w.waiting()
	for len(changes) > 0 {
		all, culprit, err := w.transact(changes, wait)
		if culprit == nil {
			answer(all, err)
			return
		}
		answer([]*request{culprit}, err)
		changes = slices.DeleteFunc(all, func(r *request) bool { return r == culprit })
		wait = func() *request { return nil }
	}
}

// waiting returns a function that returns the next change that waits, or nil
// when there is none or enough were taken.
func (w *writer) waiting() func() *request {
	start, taken := time.Now(), 1
	return func() *request {
		if taken == maxGathered || time.Since(start) >= maxGather {
			return nil
		}
		select {
		case r := <-w.requests:
			taken++
			return r
		default:
			return nil
		}
	}
}

// answer tells the callers how their transaction ended: with err, or as their
// functions did.
func answer(changes []*request, err error) {
	if err != nil {
		// To the callers it is a database that failed, whatever the cause.
		err = fault.ErrUnavailable.WithCause(err)
	}
	for _, r := range changes {
		if err != nil {
			r.outcome <- err
			continue
		}
		r.outcome <- r.err
	}
}

// transact runs changes, and then those that next returns, in one transaction
// and commits it. It returns all of them. With an error the transaction is
// lost, by the culprit unless that is nil.
func (w *writer) transact(changes []*request, next func() *request) (all []*request, culprit *request, err error) {
	if err := w.begin(); err != nil {
		return changes, nil, err
	}
	for i := 0; ; i++ {
		if i == len(changes) {
			r := next()
			if r == nil {
				break
			}
			changes = append(changes, r)
		}
		if err := w.savepoint(changes[i]); err != nil {
			w.rollback()
			return changes, changes[i], err
		}
	}
	if err := w.exec("COMMIT"); err != nil {
		w.rollback()
		return changes, nil, err
	}
	w.commits.Add(1)
	return changes, nil, nil
}

// savepoint runs one change so that its failure undoes nothing else. An error
// means that the whole transaction is lost.
func (w *writer) savepoint(r *request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return nil
	}
	if r.err = r.ctx.Err(); r.err != nil {
		return nil
	}
	if err := w.exec("SAVEPOINT change"); err != nil {
		return err
	}
	if r.err = w.call(r); r.err != nil {
		if err := w.exec("ROLLBACK TO change"); err != nil {
			// SQLite has rolled back by itself, after an interrupt or on a full
			// disk: then fn's error says more than that there is no savepoint.
			return fmt.Errorf("undo a change: %w", errors.Join(r.err, err))
		}
	}
	return w.exec("RELEASE change")
}

func (w *writer) call(r *request) (err error) {
	r.panic = nil
	defer func() {
		if v := recover(); v != nil {
			r.panic = v
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	limit := time.AfterFunc(maxRun, func() {
		if w.callers.Load() > 1 {
			cancel(errTooLong)
		}
	})
	defer limit.Stop()
	defer w.interruptAfter(ctx)()
	err = r.fn(ctx, shielded{w.run, ctx})
	if err != nil && errors.Is(context.Cause(ctx), errTooLong) {
		err = fault.ErrUnavailable.WithCause(fmt.Errorf("%w: %w", errTooLong, err))
	}
	return err
}

func (w *writer) begin() error {
	if err := w.connect(); err != nil {
		return err
	}
	err := w.exec("BEGIN IMMEDIATE")
	if err != nil {
		w.drop() // the next one begins with a connection that has no past
	}
	return err
}

func (w *writer) connect() error {
	if w.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
	defer cancel()
	opened, err := w.pool.Conn(ctx)
	if err != nil {
		return err
	}
	err = opened.Raw(func(c any) error {
		inner, ok := c.(*conn)
		if !ok {
			return fmt.Errorf("a connection of another driver: %T", c)
		}
		w.interrupt = inner.interrupt
		return nil
	})
	if err != nil {
		_ = opened.Close()
		return err
	}
	w.conn = opened
	w.run = statements{texts: newTexts(opened.PrepareContext), direct: opened}
	return nil
}

func (w *writer) exec(query string) error {
	if w.conn == nil {
		return errClosed
	}
	_, err := w.run.ExecContext(context.Background(), query)
	return err
}

// rollback fails where SQLite has rolled back by itself.
func (w *writer) rollback() { _ = w.exec(rollback) }

func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	w.run.texts.close()
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it for good
	_ = w.conn.Close()
	w.conn = nil
}
