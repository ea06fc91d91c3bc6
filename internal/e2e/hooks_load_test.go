package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	backend "github.com/moim-live/moim/client"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// hookLoadVar is the variable that sets how long TestHookLoad makes events, such as 30s. The
// tests of this file are skipped without it, because they need a machine without other load.
const hookLoadVar = "MOIM_HOOK_LOAD"

const (
	hookLoadChanges = 200 // a second
	hookLoadEvents  = 10  // for each change
	hookLoadGroups  = 100
)

// lagReceiver records the delay from each event's time to its arrival.
type lagReceiver struct {
	mu   sync.Mutex
	lags []time.Duration
}

func (r *lagReceiver) take(_ context.Context, d backend.Delivery) error {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range d.Events {
		r.lags = append(r.lags, now.Sub(e.At))
	}
	return nil
}

func (r *lagReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lags)
}

// TestHookLoad makes 2,000 events a second in 100 groups on two nodes, and measures their delay
// at the receiver of one hook. 99 of 100 must arrive within a second.
func TestHookLoad(t *testing.T) {
	given := os.Getenv(hookLoadVar)
	if given == "" {
		t.Skipf("%s is not set: it says for how long to make events", hookLoadVar)
	}
	lasts, err := time.ParseDuration(given)
	if err != nil {
		t.Fatal(err)
	}
	r := &lagReceiver{}
	ops, groups := startHookLoad(t, hookLoadGroups, r.take)
	need(t, soon, "both nodes know the hook", func() bool {
		for node := range 2 {
			joins(t, ops(node), groups[0], fmt.Sprint("first", node, "-", r.count()))
		}
		return wait(time.Second, func() bool { return r.count() > 0 })
	})
	made := r.count()
	need(t, soon, "the first events have arrived", func() bool {
		before := r.count()
		made = before
		return !wait(time.Second, func() bool { return r.count() > before })
	})

	var callers sync.WaitGroup
	changes := make(chan int)
	for range 16 {
		callers.Go(func() {
			for n := range changes {
				joins(t, ops(n), groups[n%hookLoadGroups], fmt.Sprint("u", n))
			}
		})
	}
	began, n := time.Now(), 0
	tick := time.NewTicker(time.Second / hookLoadChanges)
	for ; time.Since(began) < lasts; n++ {
		<-tick.C
		changes <- n
	}
	tick.Stop()
	close(changes)
	callers.Wait()
	took, ended := time.Since(began), time.Now()
	need(t, time.Minute, "all events have arrived", func() bool { return r.count() >= made+n*hookLoadEvents })
	drained := time.Since(ended)

	lags := r.lags[made:]
	slices.Sort(lags)
	rate := float64(len(lags)) / took.Seconds()
	p50, p99 := lags[len(lags)/2], lags[len(lags)*99/100]
	t.Logf("%.0f events/s for %s; they arrived after %s (median), %s (p99), %s (the last); all were there %s after the load",
		rate, took.Round(time.Second), p50.Round(time.Millisecond), p99.Round(time.Millisecond), lags[len(lags)-1].Round(time.Millisecond), drained.Round(time.Millisecond))
	if rate < 0.95*hookLoadChanges*hookLoadEvents {
		t.Errorf("the machine made only %.0f events/s, so nothing was measured", rate)
	}
	if p99 >= time.Second {
		t.Errorf("the 99th percentile is %s", p99)
	}
}

// startHookLoad starts two nodes with groups, and a hook whose deliveries take receives. ops
// returns a back end that calls a node.
func startHookLoad(t *testing.T, groups int, take func(context.Context, backend.Delivery) error) (ops func(node int) api, groupIDs []string) {
	t.Helper()
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_HOOK_PRIVATE=true")
	ops = func(node int) api {
		return api{base: d.node(node).URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	}
	for range groups {
		var made struct{ ID string }
		ops(0).must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "load", "ownerId": "owner"}, &made)
		groupIDs = append(groupIDs, made.ID)
	}
	handler, err := backend.Hook(hookSecret, take)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	ops(0).must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "load", "url": server.URL, "events": []string{"member.*"}, "secret": hookSecret}, nil)
	return ops, groupIDs
}

// TestHookCatchesUp makes 100 events in each of 1,000 groups while the receiver of a hook is down
// for a minute. All must have arrived, in order, within 30 s after it is back.
func TestHookCatchesUp(t *testing.T) {
	if os.Getenv(hookLoadVar) == "" {
		t.Skipf("%s is not set", hookLoadVar)
	}
	const groups, changes, down, most = 1000, 10, time.Minute, 30 * time.Second
	var (
		mu       sync.Mutex
		back     bool
		last     = make(map[string]int64)
		arrived  int
		disorder int
	)
	take := func(_ context.Context, d backend.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if !back {
			return errors.New("the receiver is down")
		}
		for _, e := range d.Events {
			switch seen := last[e.GroupID]; {
			case e.Version == seen+1 || seen == 0:
				last[e.GroupID] = e.Version
				arrived++
			case e.Version > seen:
				disorder++
			}
		}
		return nil
	}
	ops, groupIDs := startHookLoad(t, groups, take)
	began := time.Now()
	var callers sync.WaitGroup
	for w := range 16 {
		callers.Go(func() {
			for n := w; n < groups*changes; n += 16 {
				joins(t, ops(n), groupIDs[n%groups], fmt.Sprint("u", n/groups))
			}
		})
	}
	callers.Wait()
	made := time.Since(began)
	<-time.After(down - made)
	mu.Lock()
	back = true
	mu.Unlock()
	returned := time.Now()
	need(t, 2*time.Minute, "all events have arrived", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return arrived == groups*changes*hookLoadEvents
	})
	took := time.Since(returned)
	t.Logf("%d events in %d groups were made in %s; they had arrived %s after the receiver was back", groups*changes*hookLoadEvents, groups, made.Round(time.Second), took.Round(100*time.Millisecond))
	if took > most {
		t.Errorf("the hook caught up in %s, want at most %s", took, most)
	}
	if disorder > 0 {
		t.Errorf("%d events came before an earlier one of their group", disorder)
	}
}

// joins makes one change with hookLoadEvents events.
func joins(t *testing.T, ops api, groupID, prefix string) {
	t.Helper()
	var users []string
	for i := range hookLoadEvents {
		users = append(users, fmt.Sprint(prefix, "-", i))
	}
	if _, err := ops.do(t.Context(), http.MethodPost, "/groups/"+groupID+"/members", object{"userIds": users}, nil); err != nil {
		t.Error(err)
	}
}
