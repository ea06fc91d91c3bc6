package engine

import (
	"net/http"
	"slices"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	for name, serve := range listeners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, startOn(t, serve, Config{}))
			pending := c.pending(t.Context())
			ws := c.probe()
			write(t, ws, "2probe")
			if got := read(t, ws); got != "3probe" {
				t.Fatalf("the probe is answered by %q", got)
			}
			if got := receive(t, pending); got.body != "6" {
				t.Errorf("the pending request got %+v", got)
			}
			c.peer.conn.Send(message("between"))
			write(t, ws, "5")
			write(t, ws, "4hello")
			if got := receive(t, c.peer.messages); got != "hello" {
				t.Errorf("received %q", got)
			}
			c.peer.conn.Send(message("after"))
			for _, want := range []string{"4between", "4after"} {
				if got := read(t, ws); got != want {
					t.Errorf("read %q, want %q", got, want)
				}
			}
			if got := c.get(); got.status != http.StatusBadRequest || got.body != `{"code":3,"message":"Bad request"}` {
				t.Errorf("polling after the upgrade: %+v", got)
			}
			if resp := refused(t, c.s.url(EngineIO)+"&sid="+c.sid, nil); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("a second upgrade: %d", resp.StatusCode)
			}
			if n := c.s.Len(); n != 1 {
				t.Errorf("%d connections", n)
			}
			_ = ws.Close()
			if got := receive(t, c.peer.closed); got != TransportClose && got != TransportError {
				t.Errorf("ended: %s", got)
			}
			waittest.Until(t, "the session is removed", func() bool { return c.s.lookup(c.sid) == nil && c.s.Len() == 0 })
		})
	}
}

// TestAnUpgradeInOneSegment sends all packets of an upgrade in one segment. Data behind the
// upgrade packet belongs to the session. The answers to the probe and to a ping may not be
// written yet when the upgrade packet is read.
func TestAnUpgradeInOneSegment(t *testing.T) {
	t.Parallel()
	for name, serve := range listeners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, startOn(t, serve, Config{}))
			ws := c.probe()
			frame := func(head byte, payload string) []byte {
				return append([]byte{head, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
			}
			const text, ping = 0x81, 0x89
			half := frame(text, "4three")
			raw := slices.Concat(frame(text, "2probe"), frame(ping, ""), frame(text, "5"), frame(text, "4one"), frame(text, "4two"), half[:4])
			if _, err := ws.NetConn().Write(raw); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"one", "two"} {
				if got := receive(t, c.peer.messages); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
			}
			if _, err := ws.NetConn().Write(half[4:]); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, c.peer.messages); got != "three" {
				t.Errorf("received %q", got)
			}
			c.peer.conn.Send(message("after"))
			for _, want := range []string{"3probe", "4after"} {
				if got := read(t, ws); got != want {
					t.Errorf("read %q, want %q", got, want)
				}
			}
		})
	}
}

// TestAPollWhileUpgradingGetsANoop checks that the client gets the noop that it waits for before
// it upgrades, even if it polls only then.
func TestAPollWhileUpgradingGetsANoop(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	ws := c.probe()
	write(t, ws, "2probe")
	read(t, ws)
	for range 3 {
		c.want("6")
	}
	pending := c.pending(t.Context())
	write(t, ws, "5")
	if got := receive(t, pending); got.body != "6" {
		t.Errorf("a request that is pending at the upgrade got %+v", got)
	}
}

func TestAFailedUpgradeLeavesTheSession(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(ws *websocket.Conn){
		"the client closes": func(ws *websocket.Conn) { _ = ws.Close() },
		"another packet":    func(ws *websocket.Conn) { _ = ws.WriteMessage(websocket.TextMessage, []byte("4x")) },
		"binary":            func(ws *websocket.Conn) { _ = ws.WriteMessage(websocket.BinaryMessage, []byte("5")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openSession(t, start(t, Config{}))
			ws := c.probe()
			write(t, ws, "2probe")
			read(t, ws)
			if resp := refused(t, c.s.url(EngineIO)+"&sid="+c.sid, nil); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("a second WebSocket: %d", resp.StatusCode)
			}
			fail(ws)
			waittest.Until(t, "the WebSocket is forgotten", func() bool { return c.s.Len() == 1 })
			c.post("4still here")
			if got := receive(t, c.peer.messages); got != "still here" {
				t.Errorf("received %q", got)
			}
			c.peer.conn.Send(message("x"))
			c.want("4x")
			write(t, c.probe(), "2probe") // it may try again
		})
	}
}

func TestTheEndOfASessionEndsItsProbe(t *testing.T) {
	t.Parallel()
	c := openSession(t, start(t, Config{}))
	ws := c.probe()
	write(t, ws, "2probe")
	read(t, ws)
	c.post("1")
	c.gone(TransportClose)
	if _, _, err := ws.ReadMessage(); err == nil {
		t.Error("the WebSocket goes on")
	}
	waittest.Until(t, "both are gone", func() bool { return c.s.Len() == 0 })
}

// probe opens a WebSocket for a session.
func (c *pollingClient) probe() *websocket.Conn {
	c.t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(c.s.url(EngineIO)+"&sid="+c.sid, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = resp.Body.Close()
	c.t.Cleanup(func() { _ = ws.Close() })
	return ws
}
