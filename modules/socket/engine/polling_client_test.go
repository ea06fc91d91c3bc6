package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
)

// answer is the answer to a polling request.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// pollingClient is a client that uses HTTP long polling.
type pollingClient struct {
	t    *testing.T
	s    *testServer
	sid  string
	peer *recorder
}

// openSession opens a polling session.
func openSession(t *testing.T, s *testServer) *pollingClient {
	t.Helper()
	c := &pollingClient{t: t, s: s}
	got := c.do(t.Context(), http.MethodGet, "", nil)
	var open struct {
		SID          string
		Upgrades     []string
		PingInterval int
	}
	body, found := strings.CutPrefix(got.body, "0")
	if err := json.Unmarshal([]byte(body), &open); err != nil || !found || got.status != http.StatusOK || len(open.SID) != 20 {
		t.Fatalf("opened with %+v, %v", got, err)
	}
	if fmt.Sprint(open.Upgrades) != "[websocket]" {
		t.Errorf("upgrades: %v", open.Upgrades)
	}
	c.sid, c.peer = open.SID, receive(t, s.receivers)
	return c
}

func (c *pollingClient) do(ctx context.Context, method, body string, header http.Header) answer {
	url := c.s.http.URL + "/socket.io/?EIO=4&transport=polling"
	if c.sid != "" {
		url += "&sid=" + c.sid
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data), err}
}

// get polls once.
func (c *pollingClient) get() answer { return c.do(c.t.Context(), http.MethodGet, "", nil) }

// want polls once and expects this payload.
func (c *pollingClient) want(payload string) {
	c.t.Helper()
	if got := c.get(); got.status != http.StatusOK || got.body != payload {
		c.t.Fatalf("polled %+v, want %q", got, payload)
	}
}

// pending starts a poll, and returns once the server has received it.
func (c *pollingClient) pending(ctx context.Context) <-chan answer {
	c.t.Helper()
	got := make(chan answer, 1)
	go func() { got <- c.do(ctx, http.MethodGet, "", nil) }()
	conn := c.peer.conn
	waittest.Until(c.t, "the request is pending", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.polling.wake != nil
	})
	return got
}

// post sends a payload and fails the test unless it is accepted.
func (c *pollingClient) post(payload string) {
	c.t.Helper()
	if got := c.do(c.t.Context(), http.MethodPost, payload, nil); got.status != http.StatusOK || got.body != "ok" {
		c.t.Fatalf("posted %q: %+v", payload, got)
	}
}

// gone checks that the session ends for this reason and is unknown afterwards.
func (c *pollingClient) gone(reason Reason) {
	c.t.Helper()
	if got := receive(c.t, c.peer.closed); got != reason {
		c.t.Errorf("the session ended: %s, want %s", got, reason)
	}
	waittest.Until(c.t, "the session is removed", func() bool { return c.s.lookup(c.sid) == nil })
	if got := c.get(); got.status != http.StatusBadRequest || got.body != `{"code":1,"message":"Session ID unknown"}` {
		c.t.Errorf("polling after the end: %+v", got)
	}
}

func message(payload string) *Frame { return EngineIO.Frame([]byte(payload)) }
