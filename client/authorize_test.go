package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/client"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/authorize"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// has reports whether a user owns a group. This is the application's own data.
func has(_ context.Context, userID string) (bool, error) {
	if userID == "down" {
		return false, errors.New("the database is down")
	}
	return userID == "ana", nil
}

// backEnd is the code of docs/authorize.md.
func backEnd(secret string) (http.Handler, error) {
	return client.Authorize(secret, func(ctx context.Context, q client.Question) (client.Verdict, error) {
		if q.Event != "create" {
			return client.Verdict{Allow: true, TTL: time.Minute}, nil
		}
		if full, err := has(ctx, q.UserID); err != nil || full {
			return client.Verdict{Code: "over_quota", Message: "You have a group already"}, err
		}
		return client.Verdict{Allow: true, Attributes: map[string]any{"plan": "free"}}, nil
	})
}

// TestAuthorize sends requests from the server's gatekeeper to the documented back end.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret()
	handler, err := backEnd(secret)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ask := func(secret string, questions ...group.Question) (v group.Verdict, err error) {
		t.Helper()
		g, err := authorize.New(authorize.Config{URL: server.URL, Secret: secret, Private: true}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		for _, q := range questions {
			v, err = g.Ask(t.Context(), q)
		}
		return v, err
	}
	create := func(userID string) group.Question {
		return group.Question{Event: group.AskCreate, UserID: userID, Data: map[string]string{"name": "g"}}
	}
	v, err := ask(secret, create("bo"))
	if given, _, _ := v.Attributes.Apply(json.RawMessage(`{}`)); err != nil || string(given) != `{"plan":"free"}` {
		t.Errorf("%s, %v", given, err)
	}
	if _, err := ask(secret, create("ana")); fault.From(err).Reason != "over_quota" || fault.From(err).Message != "You have a group already" {
		t.Error(err)
	}
	if _, err := ask(secret, create("down")); !errors.Is(err, fault.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := ask(webhook.NewSecret(), create("bo")); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "401") {
		t.Error(err)
	}
	asked = 0
	join := group.Question{Event: group.AskJoin, UserID: "bo", GroupID: "g"}
	if _, err := ask(secret, join, join); err != nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if _, err := client.Authorize("secret", nil); err == nil {
		t.Error("an invalid secret is accepted")
	}
}

// TestAuthorizeIsDocumented checks that the page shows the code of this test.
func TestAuthorizeIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/authorize.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("authorize_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "return client.Authorize(secret, ")
	code, _, _ = strings.Cut(code, "\n\t})\n")
	code = strings.ReplaceAll(code, "\n\t", "\n")
	if code == "" || !strings.Contains(string(page), "handler, err := client.Authorize(secret, "+code+"\n})\n") {
		t.Errorf("docs/authorize.md does not have\n%s", code)
	}
}
