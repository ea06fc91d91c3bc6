package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestReplaceTheSecret restarts the nodes of a deployment one after the other, first with a new
// secret and the previous one, and then without the previous one. Meanwhile clients with old and
// new tokens make calls and connect all the time. None may be refused.
func TestReplaceTheSecret(t *testing.T) {
	t.Parallel()
	const next = "the secret that comes next, which is long enough"
	env := []string{"MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t), "MOIM_REDIS_URL=" + redistest.Start(t).URL(), "MOIM_DRAIN_DEADLINE=2s"}
	d := &deployment{driver: startDriver(t)}
	for range 3 {
		d.nodes = append(d.nodes, startNode(t, append(env, "MOIM_AUTH_SECRET="+secret)...))
	}
	old, renewed := mint("bo", time.Hour), mintWith(next, "bo", time.Hour)
	var g group
	api{base: d.node(0).URL(), token: old}.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Boat"}, &g)

	before := visit(t, d, g.ID, old)
	restart := func(when string, settings ...string) {
		t.Helper()
		for _, n := range d.nodes {
			n.env = slices.Concat(env, settings)
			n.Terminate()
			n.Restart()
			before.goOn(when)
		}
	}
	before.goOn("at first")
	restart("while the nodes get both secrets", "MOIM_AUTH_SECRET="+next, "MOIM_AUTH_SECRET_PREVIOUS="+secret)
	after := visit(t, d, g.ID, renewed)
	after.goOn("when all nodes have both")
	for _, e := range []endpoint{plain, d.driver.endpoint(true)} { // a socket accepts the new token in place of the old one
		connect(t, e, d.node(0), "bo", old).must("auth", object{"token": renewed}, nil)
	}
	before.goOn("when all nodes have both")
	before.stop() // the old tokens have expired
	before = after
	restart("while the nodes lose the previous secret", "MOIM_AUTH_SECRET="+next)
	after.stop()
	for i := range d.nodes {
		api{base: d.node(i).URL(), token: old}.mustRefuse(t, http.StatusUnauthorized, "unauthenticated", http.MethodGet, "/me/groups", nil)
	}
}

// visitors are clients with one token that use one node after the other.
type visitors struct {
	t       *testing.T
	d       *deployment
	groupID string
	token   string
	end     context.CancelFunc
	running sync.WaitGroup
	done    [3]atomic.Int64 // successful calls over HTTP, /ws and Socket.IO
}

// visit starts visitors that post to a group until the test ends.
func visit(t *testing.T, d *deployment, groupID, token string) *visitors {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	v := &visitors{t: t, d: d, groupID: groupID, token: token, end: end}
	t.Cleanup(v.stop)
	for home := range d.nodes {
		v.running.Go(func() { v.each(ctx, home, &v.done[0], v.call) })
		for i, e := range []endpoint{plain, d.driver.endpoint(false)} {
			v.running.Go(func() {
				v.each(ctx, home, &v.done[i+1], func(ctx context.Context, base string) error { return v.stay(ctx, e, base) })
			})
		}
	}
	return v
}

// each makes calls to one node after the other, and counts the answers. A node that restarts does
// not answer. A node that refuses the token fails the test.
func (v *visitors) each(ctx context.Context, home int, done *atomic.Int64, ask func(context.Context, string) error) {
	for at := home; ctx.Err() == nil; at++ {
		err := ask(ctx, v.d.node(at).URL())
		var refusal *apiError
		switch {
		case err == nil:
			done.Add(1)
		case errors.As(err, &refusal) && (refusal.Status == http.StatusUnauthorized || refusal.Code == "unauthenticated" || refusal.Code == "forbidden"):
			v.t.Errorf("a client was refused: %v", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (v *visitors) call(ctx context.Context, base string) error {
	_, err := api{base: base, token: v.token}.do(ctx, http.MethodPost, "/groups/"+v.groupID+"/messages", object{"data": "by HTTP"}, nil)
	return err
}

// stay connects, posts, and stays connected for a while, or until the node closes the connection.
func (v *visitors) stay(ctx context.Context, e endpoint, base string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	box := newInbox("a visitor")
	c, err := e.open(ctx, base, v.token, box)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.request(ctx, "group:message", object{"groupId": v.groupID, "data": "by socket"}); err != nil {
		return err
	}
	select {
	case <-c.gone():
	case <-ctx.Done():
	case <-time.After(300 * time.Millisecond):
	}
	for _, why := range box.disconnects() {
		if why == "4003" || why == "4006" {
			return &apiError{Code: "unauthenticated", Message: "closed with " + why}
		}
	}
	return nil
}

// goOn waits until visitors of each kind get more answers.
func (v *visitors) goOn(when string) {
	v.t.Helper()
	for i, what := range []string{"HTTP", "/ws", "Socket.IO"} {
		from := v.done[i].Load()
		need(v.t, soon, fmt.Sprintf("%s: clients are answered over %s", when, what), func() bool {
			return v.t.Failed() || v.done[i].Load() > from+int64(len(v.d.nodes))
		})
	}
}

// stop stops the visitors.
func (v *visitors) stop() {
	v.end()
	v.running.Wait()
}
