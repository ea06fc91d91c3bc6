package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	// workers is the number of groups of a hook that a node sends at the same time.
	workers = 16
	// inARow is the maximum number of deliveries of one group before other groups get a
	// turn.
	inARow = 20
	// lookEvery is the interval at which a node looks for due groups.
	lookEvery = time.Second
	// claimFor is the maximum age of a claim at which a delivery may begin, so that it ends
	// within the claim.
	claimFor = Lease - sendTimeout - 5*time.Second
	// endTimeout limits the recording of a result, also while the node stops.
	endTimeout = 3 * time.Second
	// reviveBatch is the number of groups that one transaction makes due.
	reviveBatch = 1000
)

// runner sends the deliveries of one hook from this node: either events or presence. Each
// of the two has its own breaker, although they share a receiver. Each tries its own groups
// and makes them due again, so a receiver that is down gets one more request in each pause.
type runner struct {
	hook      atomic.Pointer[Hook]
	to        Destination
	positions Positions
	spreader  Spreader
	metrics   *metrics
	log       *slog.Logger
	breaker   breaker
	wake      chan struct{}
	slots     chan struct{} // one value for each group that is being sent
	more      atomic.Bool   // the last claim left groups because of limit or lack of slots
	loops     *tasks.Group
	senders   *tasks.Group
}

func (d *Dispatcher) newRunner(h Hook, to Destination, positions Positions) *runner {
	r := &runner{
		to: to, positions: positions, spreader: d.spreader, metrics: d.metrics, log: d.log.With("hook", h.Name),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, workers), loops: tasks.New(), senders: tasks.New(),
	}
	r.hook.Store(&h)
	r.loops.Run(r.loop)
	return r
}

// stop stops claiming groups, and waits a moment for running deliveries. Those that do not
// end by then are sent again.
func (r *runner) stop(ctx context.Context) error {
	if err := r.loops.Stop(ctx); err != nil {
		return err
	}
	moment, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if r.senders.Finish(moment) == nil {
		return nil
	}
	return r.senders.Finish(ctx)
}

// loop claims groups and sends their deliveries.
func (r *runner) loop(ctx context.Context) {
	for ctx.Err() == nil {
		wait := lookEvery
		if r.hook.Load().Enabled {
			wait = r.claim(ctx)
		}
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// claim claims as many groups as there are free slots. It returns how long to wait before
// the next claim.
func (r *runner) claim(ctx context.Context) time.Duration {
	running := len(r.slots)
	now := time.Now()
	n, early, next := r.breaker.allows(workers-running, running, now)
	r.more.Store(true)
	if n == 0 {
		if next.IsZero() {
			return lookEvery // a slot that becomes free wakes the loop
		}
		return max(next.Sub(now), time.Millisecond)
	}
	turns, err := r.positions.Claim(ctx, r.hook.Load().ID, n, early)
	if err != nil {
		r.log.DebugContext(ctx, "hook: cannot claim groups", "err", err)
		return lookEvery
	}
	for _, t := range turns {
		r.slots <- struct{}{} // never blocks, because only this loop fills it
		started := r.senders.Run(func(ctx context.Context) {
			defer func() {
				if <-r.slots; r.more.Load() {
					tasks.Wake(r.wake)
				}
			}()
			r.send(ctx, t, now)
		})
		if !started {
			<-r.slots
			r.end(func(ctx context.Context) error { return r.positions.Release(ctx, t) })
		}
	}
	if len(turns) < n {
		r.more.Store(false)
		return lookEvery
	}
	return 0
}

// send sends the deliveries of a claimed group, one after the other.
func (r *runner) send(ctx context.Context, t Turn, claimed time.Time) {
	for n := 1; ; n++ {
		began := time.Now()
		next, err := r.sendOne(ctx, t, claimed, n < inARow && r.loops.Context().Err() == nil)
		if err != nil {
			r.log.DebugContext(ctx, "hook: cannot record a delivery", "group", t.GroupID, "err", err)
			r.end(func(ctx context.Context) error { return r.positions.Release(ctx, t) })
			return
		}
		if next == nil {
			return
		}
		t, claimed = *next, began
	}
}

// sendOne sends one delivery and records the result. It returns the next turn if there is
// one. After an error, the claim still exists.
func (r *runner) sendOne(ctx context.Context, t Turn, claimed time.Time, goOn bool) (*Turn, error) {
	if t.seeks() {
		there, ok, err := r.positions.Seek(ctx, t)
		if err != nil || !ok {
			return nil, errors.Join(err, r.positions.Release(ctx, t))
		}
		t = there
	}
	page, err := r.positions.Read(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case page.Gone:
		return nil, r.positions.Drop(ctx, t)
	}
	h := *r.hook.Load()
	d := deliveryOf(h, t, page)
	// A page without events would only report a gap, and the next page does so, too.
	if len(d.Events)+len(d.Presence) == 0 && (!d.Gap || len(page.Events) == 0) {
		return r.positions.Done(ctx, t, page.Upto, 0, d.Gap, goOn)
	}
	if page.Upto < t.Upto { // a repeat must have the same events
		if ok, err := r.positions.Narrow(ctx, t, page.Upto); err != nil || !ok {
			return nil, err
		}
		t.Upto = page.Upto
	}
	if time.Since(claimed) > claimFor { // this node was suspended, and another node may have taken over
		return nil, r.positions.Release(ctx, t)
	}
	began := time.Now()
	err = deliver(ctx, r.to, h, d)
	if err != nil && ctx.Err() != nil { // the node stops; any node continues
		return nil, ctx.Err()
	}
	r.metrics.attempted(h.Name, began, d, err)
	if err != nil {
		return nil, r.failed(ctx, t, err)
	}
	r.answered(ctx, h)
	return r.positions.Done(ctx, t, page.Upto, http.StatusOK, false, goOn)
}

// deliveryOf returns the delivery for a page.
func deliveryOf(h Hook, t Turn, page Page) Delivery {
	d := Delivery{Hook: h.Name, GroupID: t.GroupID}
	if page.Presence != nil {
		d.ID = fmt.Sprintf("%s_p%d", t.GroupID, page.Upto)
		for _, c := range page.Presence {
			if Matches(h.Events, c.Type) {
				d.Presence = append(d.Presence, c)
			}
		}
		return d
	}
	d.Gap, d.Events = wantsEvents(h.Events) && (t.Gap || page.Gap), make([]group.Event, 0, len(page.Events))
	for _, e := range page.Events {
		if Matches(h.Events, e.Type) {
			d.Events = append(d.Events, e)
		}
	}
	first := t.Version + 1
	if len(d.Events) > 0 {
		first = d.Events[0].Version
	}
	d.ID = fmt.Sprintf("%s_%d", t.GroupID, first)
	return d
}

// deliver calls a destination. A program's function may panic.
func deliver(ctx context.Context, to Destination, h Hook, d Delivery) (err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the function panicked: %v", p)
		}
	}()
	return to.Deliver(ctx, h, d)
}

// answered makes the groups that wait for the receiver due at once when it works again.
func (r *runner) answered(ctx context.Context, h Hook) {
	if !r.breaker.answered() {
		return
	}
	r.log.InfoContext(ctx, "hook: the receiver answers again")
	for {
		n, err := r.positions.Revive(ctx, h.ID, reviveBatch)
		if err != nil || n < reviveBatch {
			break // they are tried later anyway
		}
	}
	tasks.Wake(r.wake)
}

// failed records a failed attempt.
func (r *runner) failed(ctx context.Context, t Turn, err error) error {
	f := Failure{Problem: problemOf(err), Retry: retryIn(t.Attempts + 1)}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		f.Status = refusal.Status
	}
	h := r.hook.Load()
	isFunction := h.URL == ""
	f.Unreachable = !isFunction && (silent(f.Status) || f.Status >= 500)
	switch {
	case f.Status == http.StatusGone:
		r.log.WarnContext(ctx, "hook: disabled, because the receiver answered 410 Gone")
		if err := r.spreader.Disable(ctx, h.ID, "the receiver answered 410 Gone"); err != nil {
			return err
		}
		return r.positions.Release(ctx, t)
	case refusal != nil && refusal.After > 0:
		f.Retry = max(refusal.After, firstRetry)
		if silent(f.Status) {
			if err := r.spreader.Pause(ctx, h.ID, refusal.After); err != nil {
				return err
			}
		}
	}
	switch {
	case f.Unreachable:
		r.breaker.failed(time.Now(), t.GroupID, silent(f.Status))
	case !isFunction:
		r.answered(ctx, *h)
	}
	r.log.DebugContext(ctx, "hook: a delivery failed", "group", t.GroupID, "status", f.Status, "problem", f.Problem)
	parked, err := r.positions.Failed(ctx, t, f)
	if parked {
		r.log.WarnContext(ctx, "hook: gave up on a group after three days; replay it when the receiver works again", "group", t.GroupID, "status", f.Status, "problem", f.Problem)
	}
	return err
}

// end runs fn, which records a result, even if the node stops.
func (r *runner) end(fn func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := fn(ctx); err != nil {
		r.log.DebugContext(ctx, "hook: a claim ends by itself", "err", err)
	}
}
