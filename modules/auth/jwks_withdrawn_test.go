package auth

import (
	"crypto/ecdsa"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// keyServer answers with a key set without using a network.
type keyServer struct {
	mu   sync.Mutex
	keys string
}

func (s *keyServer) publish(keys string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *keyServer) RoundTrip(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(s.keys))}, nil
}

// TestJWKSWithdrawnKeysEnd checks that a token whose key was withdrawn is refused within 30
// seconds. This must hold at any time, even if the token is always in use and no other key is
// requested.
func TestJWKSWithdrawnKeysEnd(t *testing.T) {
	t.Parallel()
	old, next := newKey(t), newKey(t)
	both := keySet(t, map[string]*ecdsa.PrivateKey{"old": old, "next": next})
	one := keySet(t, map[string]*ecdsa.PrivateKey{"next": next})
	for _, after := range []time.Duration{0, time.Second, 7 * time.Second, 14999 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			v, err := New(Config{JWKSURL: "https://issuer.example/keys"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			server := &keyServer{keys: both}
			v.jwks.client.Transport = server
			if err := v.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			remembered, token, renewed := Remember(v.Verify), esToken(t, old, "old"), esToken(t, next, "next")
			valid := func(token string) bool {
				_, err := remembered.Verify(t.Context(), token)
				return err == nil
			}
			if !valid(token) || !valid(renewed) {
				t.Fatal("a token of a published key is refused")
			}
			time.Sleep(after)
			server.publish(one)
			var last time.Duration
			for since := time.Duration(0); since < time.Minute; since += 100 * time.Millisecond {
				if valid(token) {
					last = since
				}
				if !valid(renewed) {
					t.Fatal("a token of the other key is refused")
				}
				time.Sleep(100 * time.Millisecond)
			}
			if last >= 30*time.Second {
				t.Errorf("withdrawn %s after a fetch: the token is accepted for %s", after, last)
			}
			if err := v.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
