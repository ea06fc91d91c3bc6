package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/client"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
)

// TestHook receives deliveries from the server's sender.
func TestHook(t *testing.T) {
	t.Parallel()
	secret, before := webhook.NewSecret(), webhook.NewSecret()
	var got []client.Delivery
	var fails error
	handler, err := client.Hook(secret, func(_ context.Context, d client.Delivery) error {
		got = append(got, d)
		return fails
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	sender := hook.NewSender(hook.Config{Private: true}, "test")
	t.Cleanup(sender.Close)
	send := func(h hook.Hook) error {
		h.URL = server.URL
		return sender.Deliver(t.Context(), h, hook.Delivery{ID: "g_7", Hook: "a", GroupID: "g", Gap: true, Events: []group.Event{
			{GroupID: "g", Version: 7, Type: group.MessagePosted, Data: []byte(`{"type":"text","data":"<&>"}`)},
		}})
	}
	if err := send(hook.Hook{Secret: secret}); err != nil {
		t.Fatal(err)
	}
	if d := got[0]; d.ID != "g_7" || d.GroupID != "g" || !d.Gap || len(d.Events) != 1 || d.Events[0].Version != 7 || string(d.Events[0].Data) != `{"type":"text","data":"<&>"}` {
		t.Errorf("%+v", d)
	}
	at := time.UnixMilli(1_700_000_000_123).UTC()
	if err := sender.Deliver(t.Context(), hook.Hook{Secret: secret, URL: server.URL}, hook.Delivery{ID: "g_p9", Hook: "a", GroupID: "g", Presence: []hook.PresenceChange{
		{Type: hook.PresenceOffline, GroupID: "g", UserID: "bo", At: at, N: 9},
	}}); err != nil {
		t.Fatal(err)
	}
	if d := got[1]; d.ID != "g_p9" || d.Hook != "a" || d.GroupID != "g" || len(d.Events) != 0 || len(d.Presence) != 1 ||
		d.Presence[0] != (client.PresenceChange{Type: "presence.offline", GroupID: "g", UserID: "bo", At: at, N: 9}) {
		t.Errorf("%+v", d)
	}
	got = got[:1]
	if err := send(hook.Hook{Secret: before, Before: secret, Rotated: time.Now()}); err != nil || len(got) != 2 {
		t.Errorf("while the secret changes: %v", err)
	}
	if refusal, is := errors.AsType[*hook.Refusal](send(hook.Hook{Secret: before})); !is || refusal.Status != http.StatusUnauthorized || len(got) != 2 {
		t.Errorf("another secret: %v", refusal)
	}
	fails = errors.New("full")
	if refusal, is := errors.AsType[*hook.Refusal](send(hook.Hook{Secret: secret})); !is || refusal.Status != http.StatusInternalServerError {
		t.Errorf("the function fails: %v", refusal)
	}
}

// TestPublishedExample verifies the example of the Standard Webhooks specification. The example
// is old, so only its signature can be valid.
func TestPublishedExample(t *testing.T) {
	t.Parallel()
	handler, err := client.Hook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", func(context.Context, client.Delivery) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(http.Header){
		"more than 5m0s from now": func(http.Header) {},
		"timestamp is missing":    func(h http.Header) { h.Del("webhook-timestamp") },
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"test": 2432232314}`))
		req.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
		req.Header.Set("webhook-timestamp", "1614265330")
		req.Header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
		change(req.Header)
		res := httptest.NewRecorder()
		handler.ServeHTTP(res, req)
		if res.Code != http.StatusUnauthorized || !strings.Contains(res.Body.String(), name) {
			t.Errorf("%s: %d %s", name, res.Code, res.Body)
		}
	}
	if _, err := client.Hook("whsec_!", nil); err == nil {
		t.Error("that is no secret")
	}
}
