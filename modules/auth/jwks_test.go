package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/moim-live/moim/modules/fault"
)

// issuer is an identity provider. A test can change its key set.
type issuer struct {
	*httptest.Server
	fetches atomic.Int32

	mu     sync.Mutex
	status int
	body   string
	block  chan struct{}
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{status: http.StatusOK}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		status, body, block := i.status, i.body, i.block
		i.mu.Unlock()
		if block != nil {
			select {
			case <-block:
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) set(status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, body
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keySet encodes keys by their ids.
func keySet(t *testing.T, byID map[string]*ecdsa.PrivateKey) string {
	t.Helper()
	var keys []map[string]string
	for kid, key := range byID {
		raw, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		b64 := base64.RawURLEncoding.EncodeToString
		keys = append(keys, map[string]string{
			"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
			"x": b64(raw[1:33]), "y": b64(raw[33:]),
		})
	}
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func esToken(t *testing.T, key *ecdsa.PrivateKey, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startJWKS runs a verifier that fetches again after retry if a fetch failed.
func startJWKS(t *testing.T, i *issuer, log *slog.Logger, retry time.Duration) *Verifier {
	t.Helper()
	v, err := New(Config{JWKSURL: i.URL + "/keys?token=hunter2"}, log)
	if err != nil {
		t.Fatal(err)
	}
	v.jwks.backoff, v.jwks.minAge = retry, 0
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(v.Stop(context.Background()), v.Stop(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return v
}

// accepted reports whether v accepts a token. It fails the test on an error that is not a
// refusal.
func accepted(t *testing.T, v *Verifier, token string) bool {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	if err != nil && !errors.Is(err, fault.ErrUnauthorized) {
		t.Fatalf("got %v", err)
	}
	return err == nil
}

func TestJWKSRotation(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	old, next, foreign := newKey(t), newKey(t), newKey(t)
	i.set(200, keySet(t, map[string]*ecdsa.PrivateKey{"old": old}))
	v := startJWKS(t, i, slog.New(slog.DiscardHandler), time.Hour) // all fetches in this test are caused by tokens
	if !accepted(t, v, esToken(t, old, "old")) {
		t.Error("a token right after the start was refused")
	}
	if accepted(t, v, esToken(t, foreign, "old")) {
		t.Error("a foreign key with a known kid was accepted")
	}
	if !accepted(t, v, esToken(t, old, "")) {
		t.Error("a token without kid was refused")
	}
	i.set(200, keySet(t, map[string]*ecdsa.PrivateKey{"old": old, "next": next}))
	if !accepted(t, v, esToken(t, next, "next")) {
		t.Error("a rotated key was not fetched")
	}
	for _, broken := range []struct {
		status int
		body   string
	}{
		{500, "down"},
		{200, "not JSON"},
		{200, `{"keys":[]}`},
		{200, `{"keys":["` + strings.Repeat("x", maxJWKS) + `"]}`},
		{200, `{"keys":[{"kty":"oct","kid":"next","k":"c2VjcmV0","alg":"HS256"}]}`},
	} {
		i.set(broken.status, broken.body)
		before := i.fetches.Load()
		if accepted(t, v, esToken(t, foreign, "unknown")) {
			t.Error("an unknown key was accepted")
		}
		if i.fetches.Load() == before {
			t.Error("nothing was fetched")
		}
		if !accepted(t, v, esToken(t, next, "next")) {
			t.Errorf("known keys were forgotten after %d %.20q", broken.status, broken.body)
		}
	}
	i.set(200, keySet(t, map[string]*ecdsa.PrivateKey{"next": next}))
	accepted(t, v, esToken(t, foreign, "unknown"))
	if accepted(t, v, esToken(t, old, "old")) {
		t.Error("a withdrawn key is still accepted")
	}
}

func TestJWKSUnknownKeysAreRateLimited(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	key := newKey(t)
	i.set(200, keySet(t, map[string]*ecdsa.PrivateKey{"a": key}))
	v := startJWKS(t, i, slog.New(slog.DiscardHandler), 5*time.Millisecond)
	v.jwks.mu.Lock()
	v.jwks.minAge = time.Hour
	v.jwks.mu.Unlock()
	accepted(t, v, esToken(t, key, "a"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _, _ = v.Verify(t.Context(), esToken(t, key, "unknown")) })
	}
	wg.Wait()
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestJWKSDownAtStart(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	key := newKey(t)
	i.set(503, "")
	var buf bytes.Buffer
	v := startJWKS(t, i, slog.New(slog.NewTextHandler(&buf, nil)), 5*time.Millisecond)
	_, err := v.Verify(t.Context(), esToken(t, key, "a"))
	if !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	i.set(200, keySet(t, map[string]*ecdsa.PrivateKey{"a": key}))
	deadline := time.After(30 * time.Second)
	for {
		if _, err := v.Verify(t.Context(), esToken(t, key, "a")); err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the keys were not fetched again")
		case <-time.After(time.Millisecond):
		}
	}
	if err := v.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := buf.String(); !strings.Contains(got, "could not be fetched") || strings.Contains(got, "hunter2") {
		t.Errorf("log: %s", got)
	}
}

func TestJWKSSlow(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.block = make(chan struct{})
	v := startJWKS(t, i, slog.New(slog.DiscardHandler), 5*time.Millisecond)
	v.jwks.maxWait = 20 * time.Millisecond
	start := time.Now()
	_, err := v.Verify(t.Context(), esToken(t, newKey(t), "a"))
	if !errors.Is(err, fault.ErrUnavailable) || time.Since(start) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if err := v.Stop(t.Context()); err != nil { // ends the current fetch
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), esToken(t, newKey(t), "a")); err == nil {
		t.Error("accepted after the stop")
	}
}

func TestJWKSKeysThatDoNotFit(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(keySet(t, map[string]*ecdsa.PrivateKey{"a": key})), &set); err != nil {
		t.Fatal(err)
	}
	change := func(field string, value any) map[string]any {
		c := map[string]any{}
		for k, v := range set.Keys[0] {
			c[k] = v
		}
		c[field] = value
		return c
	}
	i := newIssuer(t) // the target of an x5u header, which must not be fetched
	keys := []map[string]any{
		change("use", "enc"), change("alg", "ES384"), change("crv", "P-384"), change("x", "AAAA"), change("kty", "unknown"),
		change("x5u", i.URL), change("kid", "good"),
	}
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseJWKS(data)
	if err != nil || len(got) != 2 || got[0].id != "a" || got[1].id != "good" {
		t.Errorf("%+v, %v", got, err)
	}
	if i.fetches.Load() != 0 {
		t.Error("x5u was fetched")
	}
}
