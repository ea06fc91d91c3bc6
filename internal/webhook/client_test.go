package webhook

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

func newClient(t *testing.T, timeout time.Duration, most int) *Client {
	c := NewClient(Options{Private: true, Timeout: timeout, MaxAnswer: most, UserAgent: "Moim/test"})
	t.Cleanup(c.Close)
	return c
}

func TestRequestsAreSigned(t *testing.T) {
	t.Parallel()
	secret := NewSecret()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		h := r.Header
		seconds, _ := time.ParseDuration(h.Get(headerTimestamp) + "s")
		want, _ := sign([]string{secret}, h.Get(headerID), time.Unix(int64(seconds.Seconds()), 0), body)
		if err != nil || h.Get(headerID) != "a_1" || h.Get(headerSignature) != want || h.Get("User-Agent") != "Moim/test" || string(body) != "{}" {
			t.Errorf("a request has %v, %s", h, body)
		}
		_, _ = w.Write([]byte("0123456789"))
	}))
	t.Cleanup(server.Close)
	for most, want := range map[int]string{10: "0123456789", 9: "012345678"} {
		a, err := newClient(t, time.Minute, most).Post(t.Context(), Request{URL: server.URL, ID: "a_1", Secrets: []string{secret}, Body: []byte("{}")})
		if err != nil || a.Status != http.StatusOK || string(a.Body) != want || a.Cut != (most == 9) {
			t.Errorf("with room for %d bytes: %+v, %v", most, a, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	followed := false
	mux := http.NewServeMux()
	mux.HandleFunc("/there", func(http.ResponseWriter, *http.Request) { followed = true })
	mux.Handle("/", http.RedirectHandler("/there", http.StatusTemporaryRedirect))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a, err := newClient(t, time.Minute, 100).Post(t.Context(), Request{URL: server.URL})
	if err != nil || a.Status != http.StatusTemporaryRedirect || followed {
		t.Errorf("followed %v: %+v, %v", followed, a, err)
	}
}

// TestTimeout posts to a receiver that never answers, and to one whose answer never ends.
func TestTimeout(t *testing.T) {
	t.Parallel()
	for name, begins := range map[string]bool{"no head": false, "no end": true} {
		over := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if begins {
				_, _ = w.Write([]byte("{"))
				_ = http.NewResponseController(w).Flush()
			}
			<-over
		}))
		a, err := newClient(t, 200*time.Millisecond, 100).Post(t.Context(), Request{URL: server.URL + "/secret"})
		if err == nil || err.Error() != "no answer within 200ms" || (a.Status != 0) != begins {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		close(over)
		server.Close()
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	plain, secure, gone := httptest.NewServer(http.NotFoundHandler()), httptest.NewTLSServer(http.NotFoundHandler()), httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	gone.Close()
	for url, want := range map[string]string{plain.URL: "", secure.URL: "certificate", gone.URL: "refused"} {
		if err := newClient(t, time.Minute, 100).Check(t.Context(), url); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
		c := NewClient(Options{Timeout: time.Minute})
		if err := c.Check(t.Context(), url); !errors.Is(err, ErrAddress) {
			t.Errorf("%s, not to private addresses: %v", url, err)
		}
	}
}

func TestErrorsNameNoURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := newClient(t, time.Minute, 100).Post(t.Context(), Request{URL: server.URL + "/secret"})
	if err == nil || strings.Contains(err.Error(), "/secret") {
		t.Error(err)
	}
}
