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
	// maxBatch and maxGather limit how many changes share a commit, and how long the writer
	// gathers them, so that the first one does not wait long.
	maxBatch  = 512
	maxGather = 20 * time.Millisecond

	// maxRun limits how long a change may run while others wait. It is shorter than
	// defaultTimeout, so that the changes behind a slow one can still succeed.
	maxRun = 3 * time.Second
)

var errTooLong = errors.New("the change ran too long while others waited")

// writer runs all changes of a SQLite file. Its goroutine takes the waiting changes, runs
// each in a savepoint of one transaction, and commits them together (group commit). While
// the disk syncs, it gathers changes for the next commit.
//
// SQLite rolls back the whole transaction if a statement is interrupted or the disk is
// full. The writer then runs the other changes again, without the failed one.
type writer struct {
	pool     *sql.DB
	requests chan *request
	quit     chan struct{}
	done     chan struct{}
	commits  atomic.Int64
	callers  atomic.Int64 // number of callers in write

	conn  *sql.Conn // nil before the first write and after a failure
	inner *conn     // what conn wraps
}

// request is one call of write.
type request struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call
	fn      Func
	outcome chan error // receives one value

	mu    sync.Mutex // held while fn runs, so that write does not return meanwhile
	left  bool       // write has returned, so fn must not run
	err   error      // returned by fn
	panic any        // value of a panic in fn
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

// write returns when fn is committed. If ctx ends first, fn may or may not be
// committed. fn does not run after write has returned.
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
		panic(r.panic) // in the goroutine of the caller
	}
	return err
}

// leave returns the outcome if it is known already. It waits while fn is running.
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
	defer w.disconnect()
	for {
		select {
		case r := <-w.requests:
			w.batch(r)
		case <-w.quit:
			return
		}
	}
}

// batch runs first and the waiting changes in one transaction, and answers all of them. If
// a change breaks the transaction, batch runs the others again.
func (w *writer) batch(first *request) {
	changes, next := []*request{first}, w.gather()
	for len(changes) > 0 {
		all, culprit, err := w.transact(changes, next)
		if culprit == nil {
			answer(all, err)
			return
		}
		answer([]*request{culprit}, err)
		changes = slices.DeleteFunc(all, func(r *request) bool { return r == culprit })
		next = func() *request { return nil }
	}
}

// gather returns a function that returns the next waiting change. The function returns nil
// if there is none or the batch is full.
func (w *writer) gather() func() *request {
	start, taken := time.Now(), 1
	return func() *request {
		if taken == maxBatch || time.Since(start) >= maxGather {
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

// answer sends each caller its outcome: err if the transaction failed, or otherwise the
// error of its fn.
func answer(changes []*request, err error) {
	if err != nil {
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

// transact runs changes, and then those that next returns, in one transaction and commits
// it. It returns all of them. An error means that the transaction is lost. culprit is the
// change that caused this, or nil.
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

// savepoint runs one change in a savepoint, so that it can be undone separately. An error
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
			// If SQLite has rolled back the transaction on its own, err only says that the
			// savepoint is missing. The error of fn has the reason.
			return fmt.Errorf("undo a change: %w", errors.Join(r.err, err))
		}
	}
	return w.exec("RELEASE change")
}

func (w *writer) call(r *request) error {
	r.panic = nil
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	limit := time.AfterFunc(maxRun, func() {
		if w.callers.Load() > 1 {
			cancel(errTooLong)
		}
	})
	defer limit.Stop()
	// interruptible watches ctx during the whole change. If the driver watched it during
	// each statement, a change would take a third more processor time.
	q := bound{w.conn, func(given context.Context) context.Context {
		if given == ctx && ctx.Err() == nil {
			return context.WithoutCancel(ctx)
		}
		return given
	}}
	err := w.inner.interruptible(ctx, func() error { return r.run(ctx, q) })
	if err != nil && errors.Is(context.Cause(ctx), errTooLong) {
		err = fault.ErrUnavailable.WithCause(fmt.Errorf("%w: %w", errTooLong, err))
	}
	return err
}

func (r *request) run(ctx context.Context, q Querier) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.panic = v
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return r.fn(ctx, q)
}

func (w *writer) begin() error {
	if err := w.connect(); err != nil {
		return err
	}
	err := w.exec("BEGIN IMMEDIATE")
	if err != nil {
		w.disconnect() // the next batch starts with a new connection
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
			return fmt.Errorf("the connection has an unknown type %T", c)
		}
		w.inner = inner
		return nil
	})
	if err != nil {
		_ = opened.Close()
		return err
	}
	w.conn = opened
	return nil
}

func (w *writer) exec(query string) error {
	if w.conn == nil {
		return errClosed
	}
	_, err := w.conn.ExecContext(context.Background(), query)
	return err
}

// rollback ignores the error after a rollback by SQLite itself.
func (w *writer) rollback() { _ = w.exec(rollback) }

func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // remove it from the pool
	_ = w.conn.Close()
	w.conn = nil
}
