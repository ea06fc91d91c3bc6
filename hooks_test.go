package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHooksFollowNoRedirect runs moim hooks against a node that answers with a redirect. The
// token must not be sent to the target.
func TestHooksFollowNoRedirect(t *testing.T) {
	t.Parallel()
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached = true
		_, _ = w.Write([]byte(`{"items":[]}`))
	}))
	t.Cleanup(elsewhere.Close)
	node := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(node.Close)
	var out struct{}
	err := asker{base: node.URL, token: "secret"}.call(t.Context(), http.MethodGet, "/hooks", nil, &out)
	if err == nil || !strings.Contains(err.Error(), "307") || reached {
		t.Errorf("reached %t: %v", reached, err)
	}
}
