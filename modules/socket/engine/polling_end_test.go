package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
)

// TestTheNextPollHearsOfTheEnd checks that a close packet is kept for the next request if no
// request waits.
func TestTheNextPollHearsOfTheEnd(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	c.peer.conn.Send(message("last"))
	c.peer.conn.Close(Disconnected)
	c.want("4last") // in one payload, a client would handle the end before the message
	c.want("6\x1e1")
	c.gone(Disconnected)
}

func TestASessionThatIsNotPolledEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  Config
		act  func(*pollingClient)
		want Reason
	}{
		"it answers no ping":    {Config{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}, func(*pollingClient) {}, PingTimeout},
		"it takes no messages":  {Config{MaxBacklog: 16 << 10}, func(c *pollingClient) { flood(c.peer.conn) }, SlowConsumer},
		"it is closed":          {Config{}, func(c *pollingClient) { c.peer.conn.Close(Expired) }, Expired},
		"the client closes it":  {Config{}, func(c *pollingClient) { c.post("1") }, TransportClose},
		"the client pings":      {Config{}, func(c *pollingClient) { c.post("2") }, TransportError},
		"an unknown packet":     {Config{}, func(c *pollingClient) { c.post("4a\x1eabc\x1e4b") }, ParseError},
		"an empty packet":       {Config{}, func(c *pollingClient) { c.post("4a\x1e") }, ParseError},
		"base64 that is none":   {Config{}, func(c *pollingClient) { c.post("b!") }, ParseError},
		"text that is no UTF-8": {Config{}, func(c *pollingClient) { c.post("4\xff") }, NotUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session := openSession(t, start(t, c.cfg))
			c.act(session)
			session.gone(c.want)
		})
	}
}

func TestAClientThatAbortsAPollHasGone(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	ctx, cancel := context.WithCancel(t.Context())
	c.pending(ctx)
	cancel()
	c.gone(TransportError)
}

func TestDrainEndsPollingSessions(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	polled, silent, upgrading := openSession(t, s), openSession(t, s), openSession(t, s)
	pending := polled.pending(t.Context())
	write(t, upgrading.probe(), "2probe")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, pending); got.body != "1" {
		t.Errorf("a pending request got %+v", got)
	}
	for _, c := range []*pollingClient{polled, silent, upgrading} {
		if got := receive(t, c.peer.closed); got != Drained {
			t.Errorf("ended: %s", got)
		}
	}
	refusedNow := (&pollingClient{t: t, s: s}).get()
	if refusedNow.status != http.StatusServiceUnavailable || refusedNow.header.Get("Retry-After") == "" {
		t.Errorf("a new session got %+v", refusedNow)
	}
}

// TestAbandonedSessionsAreRemoved checks that sessions that are opened but never polled are
// removed. It cannot check the whole growth of the heap: after a pause of the machine, Go keeps a
// goroutine for each timer that fired.
func TestAbandonedSessionsAreRemoved(t *testing.T) { //nolint:paralleltest // it measures memory
	const n = 20_000
	var collected atomic.Int64
	e := newEngine(Config{PingInterval: time.Second, PingTimeout: 100 * time.Millisecond},
		func(c *Conn, _ Handshake) (Receiver, error) {
			runtime.AddCleanup(c, func(collected *atomic.Int64) { collected.Add(1) }, &collected)
			return silent{}, nil
		})
	before := heap()
	for range n {
		w := httptest.NewRecorder()
		e.ServeEngineIO(w, httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", nil))
		if w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	}
	open := e.Len()
	t.Logf("%d sessions are open and take %d bytes each", open, (heap()-before)/max(open, 1))
	waittest.Until(t, "all are gone", func() bool { return e.Len() == 0 && e.Stats().Connections == 0 })
	e.mu.Lock()
	left := len(e.sessions)
	e.mu.Unlock()
	if left > 0 {
		t.Errorf("%d sessions are left", left)
	}
	waittest.Until(t, "the garbage collector takes all", func() bool {
		runtime.GC()
		return collected.Load() == n
	})
}

// heap returns the number of bytes in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

type silent struct{}

func (silent) Message([]byte, bool) {}

func (silent) Finish(context.Context) {}

func (silent) Closed(Reason) {}
