package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
)

// fromClient returns a masked frame whose first byte is first.
func fromClient(first byte, payload string) []byte {
	mask := [4]byte{1, 2, 3, 4}
	frame := []byte{first}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	masked := []byte(payload)
	unmask(masked, mask)
	return append(append(frame, mask[:]...), masked...)
}

// listening returns a connection without a reader, and its received messages.
func listening(tb testing.TB, cfg Config) (*Conn, *texts) {
	tb.Helper()
	e := newEngine(cfg, nil)
	r := new(texts)
	return &Conn{engine: e, protocol: Plain, phase: open, transport: &recordingTransport{block: make(chan struct{})}, receiver: r}, r
}

type texts struct{ all []string }

func (r *texts) Message(data []byte, _ bool) { r.all = append(r.all, string(data)) }
func (*texts) Finish(context.Context)        {}
func (*texts) Closed(Reason)                 {}

// TestInPieces checks that the result does not depend on the sizes of reads.
func TestInPieces(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("long ", 100), strings.Repeat("longer ", 10_000)
	stream := bytes.Join([][]byte{
		fromClient(0x81, "one"),
		fromClient(0x81, ""),
		fromClient(0x01, "in "),
		fromClient(0x8a, "a pong between"),
		fromClient(0x00, ""),
		fromClient(0x00, long),
		fromClient(0x80, "pieces"),
		fromClient(0x81, longer),
		fromClient(0x81, "é"),
	}, nil)
	want := []string{"one", "", "in " + long + "pieces", longer, "é"}
	cut := func(pieces func() int) {
		c, r := listening(t, Config{MaxFrame: 1 << 20})
		for rest := bytes.Clone(stream); len(rest) > 0; {
			n := min(len(rest), pieces())
			if end := c.feed(rest[:n]); end.reason != 0 {
				t.Fatalf("ended: %+v", end)
			}
			clear(rest[:n]) // the connection must not keep this buffer
			rest = rest[n:]
		}
		if diff := cmp.Diff(want, r.all); diff != "" {
			t.Error(diff)
		}
		if c.inbound != nil {
			t.Errorf("an idle connection keeps %+v", c.inbound)
		}
	}
	for _, n := range []int{1, 2, 3, 7, 1000, len(stream)} {
		cut(func() int { return n })
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		cut(func() int { return 1 + random.IntN(1<<random.IntN(17)) })
	}
}

// TestLargeFrameByteByByte checks that an incomplete frame is not copied for each
// read, which would delay all connections.
func TestLargeFrameByteByByte(t *testing.T) {
	t.Parallel()
	const size, more, copies, attempts = 8 << 20, 300, 100, 20
	c, _ := listening(t, Config{MaxFrame: 2 * size})
	c.feed(fromClient(0x81, strings.Repeat("x", size+attempts*more))[:size])
	from, to := make([]byte, size), make([]byte, size)
	copy(to, from) // makes the system allocate the memory
	var took, one time.Duration
	for range attempts { // a busy machine may spoil some
		begin := time.Now()
		copy(to, from)
		one = time.Since(begin)
		begin = time.Now()
		for range more {
			c.feed(make([]byte, 1))
		}
		if took = time.Since(begin); took <= copies*one {
			return
		}
	}
	t.Errorf("%d more bytes took %v, and a copy of everything %v", more, took, one)
}

// TestViolations breaks the WebSocket protocol. Both readers must close the connection at once.
func TestViolations(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"not masked":               text("x").wire,
		"a reserved bit":           fromClient(0xc1, "x"),
		"an unknown kind":          fromClient(0x83, "x"),
		"an unknown control frame": fromClient(0x8b, "x"),
		"a ping in fragments":      fromClient(0x09, "x"),
		"a long ping":              fromClient(0x89, strings.Repeat("x", 126)),
		"the end of no message":    fromClient(0x80, "x"),
		"a message in another one": append(fromClient(0x01, "x"), fromClient(0x81, "x")...),
		"a wrong close code":       fromClient(0x88, "\x03\xee"),
		"no close code":            fromClient(0x88, "\x00\x01"),
		"a goodbye not in UTF-8":   fromClient(0x88, "\x03\xe8\xff"),
	} {
		for listener, serve := range listeners {
			t.Run(name+" "+listener, func(t *testing.T) {
				t.Parallel()
				ws, r := startOn(t, serve, Config{}).dial(t, Plain)
				if _, err := ws.NetConn().Write(data); err != nil {
					t.Fatal(err)
				}
				wantCode(t, ws, websocket.CloseProtocolError)
				_ = ws.Close()
				r.wantClosed(t, ParseError)
			})
		}
	}
}

// TestPause checks that data stays in the network during a pause, and arrives in order
// afterwards.
func TestPause(t *testing.T) {
	t.Parallel()
	for listener, serve := range listeners {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			const n = 5000
			receivers := make(chan *pausing, 1)
			s := new(testServer).start(t, Config{}, func(c *Conn, _ Handshake) (Receiver, error) {
				r := &pausing{conn: c, received: make(chan string, n)}
				receivers <- r
				return r, nil
			}, serve)
			ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			defer func() { _ = ws.Close() }()
			r := receive(t, receivers)
			ballast := strings.Repeat(".", 1000)
			go func() {
				for i := range n {
					if ws.WriteMessage(websocket.TextMessage, fmt.Append(nil, i, ballast)) != nil {
						return
					}
				}
			}()
			for i := range n {
				if got, want := receive(t, r.received), fmt.Sprint(i, ballast); got != want {
					t.Fatalf("received %q, want %q", got, want)
				}
				if most := enough + readBytes/len(ballast) + 1; r.took() > most {
					t.Fatalf("more than %d messages were read ahead", most)
				}
			}
		})
	}
}

// enough is how many messages pausing queues before it pauses.
const enough = 10

// pausing is a slow receiver.
type pausing struct {
	conn     *Conn
	received chan string

	mu      sync.Mutex
	waiting int
}

func (p *pausing) Message(data []byte, _ bool) {
	p.count(1)
	p.received <- string(data)
}

func (*pausing) Finish(context.Context) {}

func (*pausing) Closed(Reason) {}

// took takes one message and returns how many were queued.
func (p *pausing) took() int { return p.count(-1) }

func (p *pausing) count(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.waiting
	p.waiting += n
	switch {
	case before < enough && p.waiting >= enough:
		p.conn.Pause(true)
	case before >= enough && p.waiting < enough:
		p.conn.Pause(false)
	}
	return before
}

// TestCutWhilePaused ends paused connections. They were paused before the first message or by it.
func TestCutWhilePaused(t *testing.T) {
	t.Parallel()
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		ws, r := start(t, Config{}).dial(t, Plain)
		r.conn.Pause(true)
		write(t, ws, "x")
		r.conn.cut(SlowConsumer)
		r.wantClosed(t, SlowConsumer)
	})
	for listener, serve := range listeners {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			r := &fullReceiver{entered: make(chan struct{}), closed: make(chan Reason, 1)}
			s := new(testServer).start(t, Config{}, func(c *Conn, _ Handshake) (Receiver, error) {
				r.conn = c
				return r, nil
			}, serve)
			ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			defer func() { _ = ws.Close() }()
			write(t, ws, "x")
			receive(t, r.entered)
			r.conn.Close(Drained) // which the client does not answer
			if got := receive(t, r.closed); got != Drained {
				t.Errorf("closed for %q", got)
			}
		})
	}
}

// TestIdleNeedsNoGoroutine checks that idle connections of the poller have no
// goroutine.
func TestIdleNeedsNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("melody reads from all connections here")
	}
	const n = 50
	s := start(t, Config{})
	first, _ := s.dial(t, Plain)
	before := runtime.NumGoroutine()
	for range n {
		ws, _ := s.dial(t, Plain)
		write(t, ws, "x")
	}
	write(t, first, "x")
	waittest.Until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+n/10 })
}

// FuzzFeed feeds arbitrary bytes. Messages must stay below the limit, and the result must not
// depend on the sizes of reads.
func FuzzFeed(f *testing.F) {
	f.Add(fromClient(0x81, "hello"))
	f.Add(append(fromClient(0x01, "hel"), fromClient(0x80, "lo")...))
	f.Add(fromClient(0x88, "\x03\xe8bye"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, r := listening(t, Config{MaxFrame: 64})
		whole := c.feed(bytes.Clone(data))
		for _, m := range r.all {
			if len(m) > 64 {
				t.Errorf("a message of %d bytes", len(m))
			}
		}
		pieces, again := listening(t, Config{MaxFrame: 64})
		var end readEnd
		for i := 0; i < len(data) && end.reason == 0; i++ {
			end = pieces.feed([]byte{data[i]})
		}
		if end != whole || !cmp.Equal(r.all, again.all) {
			t.Errorf("whole: %+v %q, in pieces: %+v %q", whole, r.all, end, again.all)
		}
	})
}
