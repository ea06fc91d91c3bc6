package engine

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
)

func TestFrames(t *testing.T) {
	t.Parallel()
	for name, p := range endpoints {
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

// TestOrderUnderConcurrency sends from many goroutines, also over TLS. The frames of each must
// arrive whole and in order, in fewer writes than frames.
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
			waittest.Until(t, "all frames are counted", func() bool { return s.Stats().Frames == senders*each })
			if st := s.Stats(); st.Writes*2 > st.Frames || st.Bytes < st.Frames {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestT32SlowReader sends a thousand frames a second to clients. One of them reads 1 KiB a second
// and must be closed. The others must get every frame in order, and memory must not grow.
func TestT32SlowReader(t *testing.T) {
	t.Parallel()
	const others, backlog, ahead = 20, 64 << 10, 10
	s := start(t, Config{MaxBacklog: backlog, PingInterval: time.Hour}) // the slow client answers no ping
	slow, r := s.dial(t, Plain)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		tick := time.NewTicker(time.Second / 8)
		defer tick.Stop()
		buffer := make([]byte, 128)
		for ctx.Err() == nil {
			if _, err := slow.NetConn().Read(buffer); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	defer func() { _ = slow.Close() }() // its goroutine waits in a read
	conns := []*Conn{r.conn}
	var sent atomic.Int64
	sent.Store(-1) // not known yet
	var received [others]atomic.Int64
	for i := range others {
		ws, r := s.dial(t, Plain)
		conns = append(conns, r.conn)
		wg.Go(func() {
			for n := 0; int64(n) != sent.Load(); n++ {
				_ = ws.SetReadDeadline(time.Now().Add(patience))
				_, data, err := ws.ReadMessage()
				if want := fmt.Sprintf("%06d", n); err != nil || string(data[:min(6, len(data))]) != want {
					t.Errorf("received %.6q, want %s: %v", data, want, err)
					return
				}
				received[i].Add(1)
			}
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ballast := strings.Repeat(".", 2000)
	for n := 0; ; n++ {
		select {
		case reason := <-r.closed:
			if reason != SlowConsumer {
				t.Errorf("closed for %q", reason)
			}
			// No reader has the last frame yet, so none of them has read this value.
			sent.Store(int64(n) + 1)
			last := text(fmt.Sprintf("%06d", n))
			for _, c := range conns {
				c.Send(last)
			}
			t.Logf("closed after %d frames", n)
			return
		case <-tick.C:
		}
		for i := range received { // on a busy machine, these clients would be slow too
			waittest.Until(t, "the others keep up", func() bool { return received[i].Load()+ahead > int64(n) || t.Failed() })
		}
		f := text(fmt.Sprintf("%06d%s", n, ballast))
		for _, c := range conns {
			c.Send(f)
			c.mu.Lock()
			queued := c.queuedLocked()
			c.mu.Unlock()
			if queued > backlog {
				t.Fatalf("%d bytes are queued", queued)
			}
		}
	}
}

// TestT40TooLargeCostsNothing exceeds the message size with a header, with one frame, and with
// fragments that are small enough alone. The client must get 1009, and the server must keep no
// memory for it.
func TestT40TooLargeCostsNothing(t *testing.T) {
	const limit = 1 << 20
	header := func(first byte, size uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, size), 0, 0, 0, 0)
	}
	fragments := header(0x01, limit/2)
	fragments = append(fragments, make([]byte, limit/2)...)
	for range 2 {
		fragments = append(append(fragments, header(0x00, limit/2)...), make([]byte, limit/2)...)
	}
	for name, data := range map[string][]byte{
		"announced": header(0x81, 1<<40),
		"a frame":   append(header(0x81, 4*limit), make([]byte, 4*limit)...),
		"fragments": fragments,
	} {
		for endpoint, p := range endpoints {
			t.Run(name+" "+endpoint, func(t *testing.T) {
				ws, r := start(t, Config{MaxFrame: limit}).dial(t, p)
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				go func() { _, _ = ws.NetConn().Write(data) }() // until the server cuts it off
				wantCode(t, ws, websocket.CloseMessageTooBig)
				runtime.GC()
				runtime.ReadMemStats(&after)
				_ = ws.Close()
				r.wantClosed(t, TooLarge)
				if grown := after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc); grown > limit {
					t.Errorf("the heap grew by %d bytes", grown)
				}
			})
		}
	}
}

// TestSlowConsumer sends to three clients: one reads nothing, one reads later and gets the close
// code, and one reads everything.
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
	waittest.Until(t, "only the reader is left", func() bool { return s.Len() == 1 })
}

// TestSendAllocatesNothing measures direct and gathered writes to a client that reads.
func TestSendAllocatesNothing(t *testing.T) {
	for name, gather := range map[string]time.Duration{"quiet": -1, "gathered": time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Gather: gather, MaxBacklog: 1 << 30})
			ws, r := s.dial(t, Plain)
			go func() { _, _ = io.Copy(io.Discard, ws.NetConn()) }()
			frame := text(strings.Repeat("x", 150))
			for range 2 * maxBatch { // until the queue has its final size
				r.conn.Send(frame)
			}
			if n := testing.AllocsPerRun(100, func() { r.conn.Send(frame) }); n > 0 {
				t.Errorf("%v allocations a frame", n)
			}
		})
	}
}
