package hook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/webhook"
)

func TestSecretsOfAChange(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := Hook{Secret: "b", Before: "a", Rotated: now.Add(-rotation + time.Minute)}
	if got := h.secrets(now); len(got) != 2 {
		t.Errorf("shortly after a change, deliveries are signed with %v", got)
	}
	if got := h.secrets(now.Add(time.Hour)); len(got) != 1 || got[0] != "b" {
		t.Errorf("a day after a change, deliveries are signed with %v", got)
	}
}

func TestAnswersOtherThan2xxAreRefusals(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	s := NewSender(Config{Private: true}, "test")
	t.Cleanup(s.Close)
	err := s.Deliver(t.Context(), Hook{URL: server.URL, Secret: webhook.NewSecret()}, Delivery{ID: "a_1"})
	if refusal, is := errors.AsType[*Refusal](err); !is || refusal.Status != http.StatusTemporaryRedirect || refusal.After != 7*time.Second {
		t.Errorf("%v", err)
	}
}
