package sqlhooks_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
)

// receiver keeps the events that it has accepted.
type receiver struct {
	mu      sync.Mutex
	got     map[string][]int64 // versions of events, by group
	running map[string]bool
	wrong   []string
	down    atomic.Bool
	tried   atomic.Int64
}

func (r *receiver) Deliver(_ context.Context, _ hook.Hook, d hook.Delivery) error {
	r.tried.Add(1)
	r.mu.Lock()
	if r.running[d.GroupID] {
		r.wrong = append(r.wrong, "two deliveries of a group at once")
	}
	r.running[d.GroupID] = true
	r.mu.Unlock()
	down := r.down.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, d.GroupID)
	if down {
		return errors.New("nobody is there")
	}
	for _, e := range d.Events {
		r.got[d.GroupID] = append(r.got[d.GroupID], e.Version)
	}
	return nil
}

// has reports whether the receiver got the first n events of each group, once and in order.
func (r *receiver) has(groups map[string]int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, head := range groups {
		for i, v := range r.got[id] {
			if v != int64(i)+1 {
				r.wrong = append(r.wrong, "out of order, or twice")
			}
		}
		if int64(len(r.got[id])) < head {
			return len(r.wrong) > 0
		}
	}
	return true
}

func (w *world) node(to hook.Destination) *hook.Dispatcher {
	w.Helper()
	return w.presenceNode(to, &members{}).Dispatcher
}

func (w *world) wait(what string, cond func() bool) {
	w.Helper()
	waittest.Until(w, what, cond)
}

// testTwoNodes checks that no event is lost or delivered twice while two nodes deliver the
// events of growing groups.
func testTwoNodes(w *world) {
	w.hook("a", false)
	r := &receiver{got: map[string][]int64{}, running: map[string]bool{}}
	nodes := []*hook.Dispatcher{w.node(r), w.node(r)}
	heads := map[string]int64{}
	for range 5 {
		heads[w.group()] = 41
	}
	var posting sync.WaitGroup
	for id := range heads {
		posting.Go(func() {
			for i := range 40 {
				if err := w.append(id, `{}`, nil); err != nil {
					w.Error(err)
				}
				nodes[i%2].Announced()
			}
		})
	}
	posting.Wait()
	w.wait("all events", func() bool { return r.has(heads) })
	if len(r.wrong) > 0 {
		w.Error(r.wrong)
	}
}

// testDown checks that a receiver that is down is rarely tried, however many groups have
// events for it. When it is up again, all groups follow soon.
func testDown(w *world) {
	w.hook("a", false)
	r := &receiver{got: map[string][]int64{}, running: map[string]bool{}}
	r.down.Store(true)
	d := w.node(r)
	heads := map[string]int64{}
	for range 100 {
		heads[w.group()] = 1
	}
	d.Announced()
	w.wait("an attempt", func() bool { return r.tried.Load() > 2 })
	w.spread()
	if n := r.tried.Load(); n > 40 {
		w.Errorf("a receiver that is down was tried %d times at once", n)
	}
	began := time.Now()
	r.down.Store(false)
	w.wait("all events", func() bool { return r.has(heads) })
	if took := time.Since(began); took > 30*time.Second || len(r.wrong) > 0 {
		w.Errorf("delivery took %s, mistakes: %v", took, r.wrong)
	}
}

// testHostileProblem checks an error text that a database cannot store. The attempt is
// counted like any other.
func testHostileProblem(w *world) {
	h := w.hook("a", false)
	w.group()
	d := w.node(hook.Func(func(context.Context, []group.Event) error { return errors.New("\x00\xff\x1b[2J") }))
	d.Announced()
	var found []hook.Status
	w.wait("an attempt is recorded", func() bool {
		var err error
		found, err = w.store.Groups(w.Context(), h.ID, hook.Place{Due: math.MaxInt64}, 10)
		w.must(err)
		return len(found) == 1 && found[0].Attempts > 0
	})
	if found[0].Problem != "???[2J" {
		w.Errorf("the problem is %+q", found[0].Problem)
	}
}
