package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
)

func TestBadInput(t *testing.T) {
	t.Parallel()
	const none = websocket.CloseNoStatusReceived
	for _, test := range []struct {
		name     string
		protocol Protocol
		kind     int
		data     string
		reason   Reason
		code     int
	}{
		{"unknown packet", EngineIO, websocket.TextMessage, "9", ParseError, none},
		{"base64 packet", EngineIO, websocket.TextMessage, "bAQID", ParseError, none},
		{"empty message", EngineIO, websocket.TextMessage, "", ParseError, none},
		{"heartbeat from the client", EngineIO, websocket.TextMessage, "2", TransportError, none},
		{"close packet", EngineIO, websocket.TextMessage, "1", TransportClose, none},
		{"binary", Plain, websocket.BinaryMessage, "x", NotText, websocket.CloseUnsupportedData},
		{"not UTF-8", Plain, websocket.TextMessage, "\xff", NotUTF8, websocket.CloseInvalidFramePayloadData},
		{"not UTF-8", EngineIO, websocket.TextMessage, "4\xff", NotUTF8, websocket.CloseInvalidFramePayloadData},
		{"too large", Plain, websocket.TextMessage, strings.Repeat("x", 1001), TooLarge, websocket.CloseMessageTooBig},
		{"much too large", Plain, websocket.TextMessage, strings.Repeat("x", 1<<20), TooLarge, websocket.CloseMessageTooBig},
		{"too large", EngineIO, websocket.TextMessage, strings.Repeat("4", 1001), TooLarge, websocket.CloseMessageTooBig},
	} {
		for listener, serve := range listeners {
			t.Run(fmt.Sprintf("%s %d %s", test.name, test.protocol, listener), func(t *testing.T) {
				t.Parallel()
				ws, r := startOn(t, serve, Config{MaxFrame: 1000}).dial(t, test.protocol)
				if err := ws.WriteMessage(test.kind, []byte(test.data)); err != nil {
					t.Fatal(err)
				}
				wantCode(t, ws, test.code)
				_ = ws.Close()
				r.wantClosed(t, test.reason)
				if m, ok := <-r.messages; ok {
					t.Errorf("received %q", m)
				}
			})
		}
	}
}

func TestGoodInput(t *testing.T) {
	t.Parallel()
	ws, r := start(t, Config{MaxFrame: 1000}).dial(t, EngineIO)
	largest := strings.Repeat("x", 999)
	for _, packet := range []string{"4", "4" + largest, "0", "5", "6", "3", "4é"} {
		write(t, ws, packet)
	}
	for _, want := range []string{"", largest, "é"} {
		if got := receive(t, r.messages); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestCloseFlushes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		protocol Protocol
		reason   Reason
		code     int
	}{
		{Plain, Expired, 4003},
		{Plain, Disconnected, 4004},
		{Plain, Drained, 4001},
		{Plain, Reason(99), websocket.CloseInternalServerErr},
		{EngineIO, Expired, websocket.CloseNoStatusReceived},
	} {
		t.Run(fmt.Sprint(test.reason, test.protocol), func(t *testing.T) {
			t.Parallel()
			ws, r := start(t, Config{}).dial(t, test.protocol)
			last := test.protocol.Frame([]byte("last words"))
			for range 50 {
				r.conn.Send(last)
			}
			r.conn.Close(test.reason)
			r.conn.Close(ParseError)
			r.conn.Send(test.protocol.Frame([]byte("too late")))
			messages, code := readToEnd(t, ws)
			if code != test.code {
				t.Errorf("close code %d", code)
			}
			if want := slices.Repeat([]string{string(last.Payload())}, 50); !slices.Equal(messages, want) {
				t.Errorf("arrived: %q", messages)
			}
			r.wantClosed(t, test.reason)
		})
	}
}

// TestClientCloses checks that the client gets its own close code back.
func TestClientCloses(t *testing.T) {
	t.Parallel()
	for listener, serve := range listeners {
		for name, p := range endpoints {
			for _, code := range []int{websocket.CloseNormalClosure, 4123, websocket.CloseNoStatusReceived} {
				t.Run(fmt.Sprint(listener, name, code), func(t *testing.T) {
					t.Parallel()
					ws, r := startOn(t, serve, Config{}).dial(t, p)
					if err := ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(patience)); err != nil {
						t.Fatal(err)
					}
					wantCode(t, ws, code)
					r.wantClosed(t, TransportClose)
				})
			}
		}
	}
}

func TestClientVanishes(t *testing.T) {
	t.Parallel()
	for listener, serve := range listeners {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			ws, r := startOn(t, serve, Config{}).dial(t, Plain)
			_ = ws.Close() // without a close frame
			r.wantClosed(t, TransportClose)
		})
	}
}

// TestClosedOnce closes connections from both sides at once. Closed must be called once and last.
// Otherwise the recorder panics.
func TestClosedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for i := range 50 {
		ws, r := s.dial(t, Plain)
		var wg sync.WaitGroup
		wg.Go(func() { r.conn.Close(Expired) })
		wg.Go(func() { r.conn.Send(text("x")) })
		wg.Go(func() {
			for range 3 {
				_ = ws.WriteMessage(websocket.TextMessage, []byte("x"))
			}
			_ = ws.Close()
		})
		if i%2 == 0 {
			wg.Go(func() { r.conn.cut(SlowConsumer) })
		}
		wg.Wait()
		receive(t, r.closed)
	}
	waittest.Until(t, "no connection is left", func() bool { return s.Len() == 0 })
	if st := s.Stats(); st.Accepted != 50 || st.Connections != 0 {
		t.Errorf("%+v", st)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	const conns = 20
	receivers := make([]*recorder, conns)
	var wg sync.WaitGroup
	for i := range conns {
		p, want := Plain, 4001
		if i%2 == 0 {
			p, want = EngineIO, websocket.CloseNoStatusReceived
		}
		var ws *websocket.Conn
		ws, receivers[i] = s.dial(t, p)
		wg.Go(func() { wantCode(t, ws, want) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
	for _, r := range receivers {
		select {
		case reason := <-r.closed:
			if reason != Drained {
				t.Errorf("closed for %q", reason)
			}
		default:
			t.Error("a receiver does not know")
		}
	}
	wg.Wait()
	if n := s.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	for _, p := range endpoints {
		if resp := refused(t, s.url(p), nil); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("while draining: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if err := errors.Join(s.Drain(ctx), s.Drain(ctx)); err != nil {
		t.Error(err)
	}
}

// TestReconnect checks that plain clients are told random times to reconnect. The range depends
// on the number of clients.
func TestReconnect(t *testing.T) {
	t.Parallel()
	for clients, want := range map[int]time.Duration{
		1: time.Second, 1_000: time.Second, 10_000: 10 * time.Second, 100_000: 30 * time.Second,
	} {
		if got := comeBackSpan(clients); got != want {
			t.Errorf("%d clients come back within %v, want %v", clients, got, want)
		}
	}
	s := start(t, Config{Reconnect: func(after time.Duration) *Frame {
		return Plain.Frame([]byte(after.String()))
	}})
	const clients = 20
	var told [clients]*websocket.Conn
	for i := range told {
		told[i], _ = s.dial(t, Plain)
	}
	engineIO, _ := s.dial(t, EngineIO)
	go s.CloseAll()
	if messages, _ := readToEnd(t, engineIO); messages != nil {
		t.Errorf("an Engine.IO client was told %q", messages)
	}
	times := make(map[string]bool)
	for _, ws := range told {
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		_, message, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		after, err := time.ParseDuration(string(message))
		if err != nil || after < 0 || after >= time.Second {
			t.Errorf("told to reconnect after %v (%v)", after, err)
		}
		times[string(message)] = true
		wantCode(t, ws, 4001)
	}
	if len(times) < clients/2 {
		t.Errorf("%d clients were told %d different times", clients, len(times))
	}
}

func TestCloseAll(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	plain, r1 := s.dial(t, Plain)
	engineIO, r2 := s.dial(t, EngineIO)
	s.CloseAll()
	wantCode(t, plain, 4001)
	wantCode(t, engineIO, websocket.CloseNoStatusReceived)
	r1.wantClosed(t, Drained)
	r2.wantClosed(t, Drained)
	s.dial(t, Plain) // the engine keeps working
}

func TestDrainTwice(t *testing.T) {
	t.Parallel()
	e := New(Config{}, nil, nil)
	if err := errors.Join(e.Drain(t.Context()), e.Drain(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestDrainCutsUnresponsiveClients checks that a drain ends in time although a client does not
// answer.
func TestDrainCutsUnresponsiveClients(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, r := s.dial(t, Plain)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained: %v", err)
	}
	r.conn.mu.Lock()
	phase := r.conn.phase
	r.conn.mu.Unlock()
	if phase != closed {
		t.Error("the client is still given time to answer")
	}
	r.wantClosed(t, Drained)
}

// TestDrainAwaitsReceivers checks that no receiver is called after a drain.
func TestDrainAwaitsReceivers(t *testing.T) {
	t.Parallel()
	r := &recorder{messages: make(chan string), closed: make(chan Reason)} // Closed blocks
	s := startWith(t, func(*Conn, Handshake) (Receiver, error) { return r, nil })
	ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_ = ws.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained: %v", err)
	}
	receive(t, r.closed)
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestConnectDuringDrain connects while the engine drains. Each connection must be refused or
// closed.
func TestConnectDuringDrain(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := start(t, Config{})
		began := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ws, resp, err := websocket.DefaultDialer.Dial(s.url(Plain), nil)
				if err != nil {
					if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
						t.Errorf("not let in: %v", err)
					}
					return
				}
				_ = resp.Body.Close()
				defer func() { _ = ws.Close() }()
				_ = ws.SetReadDeadline(time.Now().Add(patience))
				_, _, err = ws.ReadMessage()
				inTime := time.Since(began) < closeTimeout
				if errors.Is(err, os.ErrDeadlineExceeded) || inTime && !websocket.IsCloseError(err, 4001) {
					t.Errorf("ended by %v, want close code 4001", err)
				}
			})
		}
		first := receive(t, s.receivers)
		accepted := int64(1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for r := range s.receivers {
				accepted++
				receive(t, r.closed)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := s.Drain(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		first.wantClosed(t, Drained)
		wg.Wait()
		close(s.receivers)
		<-done
		if n := s.Stats().Accepted; n != accepted {
			t.Errorf("%d of %d connections heard of the end", accepted, n)
		}
	}
}
