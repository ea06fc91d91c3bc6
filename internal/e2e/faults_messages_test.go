package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// rewriters post messages, edit them and delete some. Each message has a unique text.
type rewriters struct {
	d       *deployment
	path    string
	changes atomic.Int64

	mu      sync.Mutex
	removed map[string]bool // texts whose edit or deletion a node has acknowledged
}

// run changes messages through all nodes until the context ends. It does not retry a call that a
// node did not answer.
func (r *rewriters) run(until context.Context, writer int) {
	// The last call is waited for: a node may still carry out a call that was given up, after
	// the test has read the log.
	ctx := context.WithoutCancel(until)
	for n := 0; until.Err() == nil; n++ {
		a := r.d.api(writer+n, "ana")
		text, edited := fmt.Sprintf("text %d %d", writer, n), fmt.Sprintf("text %d %d edited", writer, n)
		var posted event
		if _, err := a.do(ctx, http.MethodPost, r.path+"/messages", object{"data": text}, &posted); err != nil {
			continue
		}
		r.changes.Add(1)
		message := fmt.Sprint(r.path, "/messages/", posted.Version)
		if n%3 > 0 && r.change(ctx, a, http.MethodPatch, message, object{"data": edited}, text) {
			text = edited
		}
		if n%2 > 0 {
			r.change(ctx, a, http.MethodDelete, message, nil, text, edited)
		}
	}
}

// change makes a call that removes texts.
func (r *rewriters) change(ctx context.Context, a api, method, path string, body any, texts ...string) bool {
	if _, err := a.do(ctx, method, path, body, nil); err != nil {
		return false
	}
	r.changes.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range texts {
		r.removed[text] = true
	}
	return true
}

// gone returns the removed texts.
func (r *rewriters) gone() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.removed)
}

// needNone checks that the events contain no text that was removed before they were read.
func needNone(t *testing.T, who string, events []event, gone map[string]bool) {
	t.Helper()
	for _, e := range events {
		var d struct{ Data any }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Errorf("%s: %s: %v", who, e.Data, err)
		}
		if text, is := d.Data.(string); is && gone[text] {
			t.Errorf("%s finds %q in version %d", who, text, e.Version)
		}
	}
}

// readLog reads the log from its start, until a node does not answer.
func readLog(ctx context.Context, a api, groupID string) (all []event) {
	for {
		var log page[event]
		_, err := a.do(ctx, http.MethodGet, fmt.Sprintf("/groups/%s/events?since=%d&limit=200", groupID, len(all)), nil, &log)
		if all = append(all, log.Items...); err != nil || len(log.Items) == 0 {
			return all
		}
	}
}

// TestT67MessagesUnderFaults edits and deletes messages while nodes and Redis are killed. At the
// end, each session must have the messages that the log has. A client that reads the log from its
// start, over HTTP or a socket, must find no text that was removed before.
func TestT67MessagesUnderFaults(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	d := startCluster(t, 3, "MOIM_REDIS_URL="+redis.URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_LIMIT_ENABLED=false")
	f := newFleet(t, d, 1, 12)
	groupID := f.groups[0]
	r := &rewriters{d: d, path: "/groups/" + groupID, removed: make(map[string]bool)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	for writer := range 3 {
		work.Go(func() { r.run(ctx, writer) })
	}
	var reads atomic.Int64
	work.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			gone := r.gone()
			events := readLog(ctx, d.api(n, "ana"), groupID)
			needNone(t, "a reader of the log", events, gone)
			reads.Add(1)
		}
	})
	late := 0
	// subscribe reads the log through a node that is not killed.
	subscribe := func() {
		t.Helper()
		gone := r.gone()
		c := d.ws(t, 0, "ana")
		answer := c.resume(groupID, 0)
		c.needVersion(groupID, answer.Group.Version, catchUp)
		needNone(t, "a subscriber", c.stream(groupID).received(), gone)
		late++
	}
	goOn := func(what string) {
		t.Helper()
		for range 3 {
			at := r.changes.Load()
			need(t, catchUp, "messages change "+what, func() bool { return r.changes.Load() >= at+40 })
			subscribe()
		}
	}
	goOn("at first")
	d.nodes[1].Kill()
	goOn("without a node")
	d.nodes[1].Restart()
	redis.Kill()
	goOn("without Redis")
	d.nodes[2].Kill()
	goOn("without Redis and a node")
	redis.Restart()
	d.nodes[2].Restart()
	goOn("at last")
	stop()
	work.Wait()

	f.needEveryEventOnce(0)
	want := copyOf(t, wholeLog(t, d.api(0, "ana"), groupID))
	for _, s := range f.sessions {
		if got := copyOf(t, s.events().received()); !maps.Equal(got, want) {
			t.Errorf("%s ends with %d messages, the log with %d, and not the same", s.name, len(got), len(want))
		}
	}
	t.Logf("T67: %d changes, %d texts removed, %d messages left; %d reads of the log, %d late subscribers",
		r.changes.Load(), len(r.gone()), len(want), reads.Load(), late)
}
