package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
)

// TestFunctionsAreHooks creates a group while the function fails at first. The function must get
// the event again.
func TestFunctionsAreHooks(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	failed := false
	router := gin.New()
	start(t, config.Config{}, router, app.WithHook("billing", func(_ context.Context, events []group.Event) error {
		for _, e := range events {
			got <- fmt.Sprint(e.Version, " ", e.Type, " ", failed)
		}
		if !failed {
			failed = true
			return errors.New("not yet")
		}
		return nil
	}))
	server := serve(t, router)
	newPerson(t, http.DefaultClient, server.URL, "ana", false).call(t, http.MethodPost, "/groups", object{"name": "g"})
	for _, want := range []string{"1 group.created false", "1 group.created true"} {
		select {
		case text := <-got:
			if text != want {
				t.Errorf("the function got %q, want %q", text, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the function never got %q", want)
		}
	}
}

// TestFunctionsAreToldOfPresence has one hook with two functions, for events and for presence.
// The function for presence fails at first and must get the change again.
func TestFunctionsAreToldOfPresence(t *testing.T) {
	t.Parallel()
	got := make(chan hook.PresenceChange, 10)
	var failed atomic.Bool
	router := gin.New()
	start(t, config.Config{}, router,
		app.WithHook("billing", func(_ context.Context, events []group.Event) error {
			for _, e := range events {
				if e.Type != group.GroupCreated {
					t.Errorf("the function for events got %s", e.Type)
				}
			}
			return nil
		}),
		app.WithPresenceHook("billing", func(_ context.Context, changes []hook.PresenceChange) error {
			if !failed.Swap(true) {
				return errors.New("not yet")
			}
			for _, c := range changes {
				got <- c
			}
			return nil
		}))
	server := serve(t, router)
	ana := newPerson(t, http.DefaultClient, server.URL, "ana", true)
	var g struct{ ID string }
	if err := json.Unmarshal(ana.call(t, http.MethodPost, "/groups", object{"name": "g"}).body, &g); err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for _, step := range []struct {
		event string
		want  group.EventType
	}{{"group:subscribe", hook.PresenceOnline}, {"group:unsubscribe", hook.PresenceOffline}} {
		ana.plain.ask(t, step.event, object{"groupId": g.ID})
		select {
		case c := <-got:
			if c.Type != step.want || c.GroupID != g.ID || c.UserID != "ana" || c.N <= last || time.Since(c.At).Abs() > time.Minute {
				t.Errorf("after %s the function got %+v", step.event, c)
			}
			last = c.N
		case <-time.After(time.Minute):
			t.Fatalf("after %s the function got nothing", step.event)
		}
	}
}
