package api_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// node is one node of a cluster. The nodes share a store and a mesh.
type node struct {
	*group.Service
	watcher
	out *socket.Emitter // for the program's own events
	url string
}

// watcher receives the beginning and end of each subscription.
type watcher chan string

func (w watcher) Subscribed(_, userID string) { w <- "+" + userID }

func (w watcher) Unsubscribed(_, userID, reason string) { w <- "-" + userID + " " + reason }

func (w watcher) Ended(_, userID, reason string) { w <- "!" + userID + " " + reason }

func newNode(t *testing.T, st grouptest.Store, mesh *adapter.Mesh, keeper ...group.PresenceKeeper) *node {
	t.Helper()
	return newNodeOn(t, st, mesh.Adapter(), nil, keeper...)
}

// newNodeOn is like newNode, but takes the adapter and the program's own handlers.
func newNodeOn(t *testing.T, st grouptest.Store, a adapter.Adapter, program []socket.Handler, keeper ...group.PresenceKeeper) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	hub := adapter.NewHub(a)
	out := socket.NewEmitter(hub)
	watched := make(watcher, 100)
	own, err := group.Reserve(hub)
	if err != nil {
		t.Fatal(err)
	}
	feed := feed.New(st, own, watched, log)
	own.Intercept("group:event", feed.Receive)
	hub.OnLost(feed.Lost)
	marks := presence.NewMarks(group.Config{PresenceWindow: 50 * time.Millisecond}, own, log)
	deps := group.Deps{Repository: st, Log: st, Announcer: feed, Signaler: own, Marks: marks}
	if len(keeper) > 0 {
		deps.Presence = keeper[0]
	}
	service := group.NewService(group.Config{}, deps)
	// The token is the user id. Package auth tests real tokens.
	authenticate := func(_ context.Context, h socket.Handshake) (auth.Identity, error) {
		if h.Token == "" {
			return auth.Identity{}, fault.ErrUnauthorized
		}
		return auth.Identity{UserID: h.Token, Admin: h.Token == "backend", Expires: time.Now().Add(time.Hour)}, nil
	}
	endpoint, err := socket.New(socket.Config{}.WithDefaults(), socket.Deps{Hub: hub, Authenticate: authenticate, Log: log},
		append(program, api.NewGateway(service, feed, own).Handlers()...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []interface {
		Start(context.Context) error
		Stop(context.Context) error
	}{hub, feed, marks, endpoint} {
		if err := part.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := part.Stop(ctx); err != nil {
				t.Errorf("stop %T: %v", part, err)
			}
		})
	}
	server := httptest.NewServer(endpoint)
	t.Cleanup(server.Close)
	return &node{Service: service, watcher: watched, out: out, url: "ws" + strings.TrimPrefix(server.URL, "http")}
}
