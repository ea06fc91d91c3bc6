package engine

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func TestFrames(t *testing.T) {
	t.Parallel()
	for name, p := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{})
			ws, r := s.dial(t, p)
			prefix := ""
			if p == EngineIO {
				prefix = "4"
			}
			for _, size := range []int{0, 1, 124, 125, 126, 65_534, 65_535, 65_536, 300_000} {
				half := strings.Repeat("é", size/2)
				f := p.Frame([]byte(half), nil, []byte(strings.Repeat("x", size%2)))
				r.conn.Send(f)
				got := read(t, ws)
				if got != string(f.Payload()) || got != prefix+half+strings.Repeat("x", size%2) {
					t.Errorf("a message of %d bytes arrived as one of %d", size, len(got))
				}
			}
		})
	}
}

// TestOrderUnderConcurrency has many senders: each one's frames arrive whole
// and in its order, in fewer writes than frames, also under TLS.
func TestOrderUnderConcurrency(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(http.Handler) *httptest.Server{
		"TCP": httptest.NewServer,
		"TLS": httptest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const senders, each = 8, 500
			receivers := make(chan *recorder, 1)
			s := new(testServer).start(t, Config{MaxBacklog: 64 << 20}, func(c *Conn, _ Handshake) (Receiver, error) {
				r := &recorder{conn: c, messages: make(chan string), closed: make(chan Reason, 1)}
				receivers <- r
				return r, nil
			}, serve)
			dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			ws, resp, err := dialer.Dial("ws"+strings.TrimPrefix(s.http.URL, "http")+"/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			defer func() { _ = ws.Close() }()
			r := receive(t, receivers)
			done := make(chan struct{}, senders)
			ballast := strings.Repeat(".", 1000)
			for i := range senders {
				go func() {
					for n := range each {
						r.conn.Send(Plain.Frame(fmt.Appendf(nil, "%d %d %s", i, n, ballast[:(i*n)%len(ballast)])))
					}
					done <- struct{}{}
				}()
			}
			var next [senders]int
			for range senders * each {
				var i, n int
				got := read(t, ws)
				if _, err := fmt.Sscan(got, &i, &n); err != nil {
					t.Fatal(err)
				}
				if n != next[i] || strings.Count(got, ".") != (i*n)%len(ballast) {
					t.Fatalf("sender %d: frame %d instead of %d: %q", i, n, next[i], got)
				}
				next[i]++
			}
			for range senders {
				receive(t, done)
			}
			eventually(t, "all frames are counted", func() bool { return s.Stats().Frames == senders*each })
			if st := s.Stats(); st.Writes*2 > st.Frames || st.Bytes < st.Frames {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestSlowConsumer keeps sending to a client that reads nothing, while another
// one reads, and then a third hears why.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{MaxBacklog: 256 << 10})
	_, dead := s.dial(t, Plain)
	lazy, late := s.dial(t, Plain)
	reader, fast := s.dial(t, EngineIO)
	body := []byte(strings.Repeat("x", burst))
	plain, engineIO := Plain.Frame(body), EngineIO.Frame(body)
	for s.Stats().SlowConsumers < 2 {
		dead.conn.Send(plain)
		late.conn.Send(plain)
		fast.conn.Send(engineIO)
		read(t, reader)
	}
	messages, code := readToEnd(t, lazy)
	if code != 4002 {
		t.Errorf("close code %d", code)
	}
	for i, m := range messages {
		if m != string(body) {
			t.Fatalf("message %d is not whole", i)
		}
	}
	late.wantClosed(t, SlowConsumer)
	dead.wantClosed(t, SlowConsumer)
	fast.conn.Send(engineIO)
	read(t, reader)
	eventually(t, "only the reader is left", func() bool { return s.Len() == 1 })
}
