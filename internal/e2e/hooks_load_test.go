package e2e

import (
	"context"
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

// hookLoadVar is the variable that sets how long TestHookLoad makes events, such as 30s. The test
// is skipped without it, because it needs a machine without other load.
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
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_HOOK_PRIVATE=true")
	ops := func(node int) api {
		return api{base: d.node(node).URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	}
	var groups []string
	for range hookLoadGroups {
		groups = append(groups, newGroup(t, d))
	}
	r := &lagReceiver{}
	handler, err := backend.Hook(hookSecret, r.take)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	ops(0).must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "load", "url": server.URL, "events": []string{"member.*"}, "secret": hookSecret}, nil)
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
