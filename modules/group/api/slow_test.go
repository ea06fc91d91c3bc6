package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// narrow dials with a small receive buffer, so that the queue on the server grows soon if
// the client does not read.
var narrow = websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.SetReadBuffer(64 << 10)
	}
	return conn, err
}}

// slowClient is a client of either protocol, plain WebSocket or Socket.IO. It reads only
// when told.
type slowClient struct {
	t    *testing.T
	conn *websocket.Conn
	io   bool
}

func (n *node) dialSlow(t *testing.T, userID string, overIO bool) *slowClient {
	t.Helper()
	url, header := n.url, map[string][]string{"Authorization": {"Bearer " + userID}}
	if overIO {
		url += "?EIO=4&transport=websocket"
	}
	conn, res, err := narrow.DialContext(t.Context(), url, header)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	c := &slowClient{t, conn, overIO}
	if overIO {
		c.read()
		c.write(`40{"token":"` + userID + `"}`)
		if got := c.read(); !strings.HasPrefix(got, "40") {
			t.Fatal(got)
		}
	}
	return c
}

func (c *slowClient) read() string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	_, data, err := c.conn.ReadMessage()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	return string(data)
}

func (c *slowClient) write(message string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe subscribes to a group, and waits for the answer.
func (c *slowClient) subscribe(groupID, more string) {
	c.t.Helper()
	request := fmt.Sprintf(`{"groupId":%q%s}`, groupID, more)
	if c.io {
		c.write(`420["group:subscribe",` + request + `]`)
	} else {
		c.write(`{"id":1,"event":"group:subscribe","data":` + request + `}`)
	}
	for {
		got := c.read()
		if strings.HasPrefix(got, `430[{"data"`) || strings.HasPrefix(got, `{"id":1,"data"`) {
			return
		}
	}
}

// next returns the next message.
func (c *slowClient) next() (event string, data json.RawMessage) {
	c.t.Helper()
	for {
		got := c.read()
		switch {
		case c.io && got == "2":
			c.write("3")
		case c.io:
			args := servicetest.Decode[[]json.RawMessage](c.t, strings.TrimPrefix(got, "42"))
			return servicetest.Decode[string](c.t, string(args[0])), args[1]
		default:
			p := servicetest.Decode[push](c.t, got)
			return p.Event, p.Data
		}
	}
}

// TestSignalsCloseNobody checks that many signals do not close the socket of a subscriber
// that does not read. Signals come from the same node and from another one. The subscriber
// must get all events in order.
func TestSignalsCloseNobody(t *testing.T) {
	t.Parallel()
	const signals, events = 300, 20
	for name, overIO := range map[string]bool{"Socket.IO": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mesh, st := adapter.NewMesh(), servicetest.OpenStore(t)
			nodes := []*node{newNode(t, st, mesh), newNode(t, st, mesh)}
			g := (&servicetest.Bench{Service: nodes[0].Service, Recorder: &servicetest.Recorder{}, Store: st}).NewGroup(t, `{"name":"g"}`)
			slow := nodes[0].dialSlow(t, "member", overIO)
			slow.subscribe(g.ID, "")
			signal := servicetest.Decode[dto.SignalRequest](t, `{"type":"s","data":"`+strings.Repeat("x", 32_000)+`"}`)
			for i := range signals {
				if err := nodes[i%2].Signal(t.Context(), user("other"), g.ID, group.SignalSource{}, signal); err != nil {
					t.Fatal(err)
				}
				if i%(signals/events) == 0 {
					message := servicetest.Decode[dto.MessageRequest](t, fmt.Sprintf(`{"data":%d}`, i))
					if _, err := nodes[i%2].Post(t.Context(), user("other"), g.ID, message); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := 0
			for want := g.Version + 1; want <= g.Version+events; {
				event, data := slow.next()
				switch event {
				case group.EventSignal:
					got++
				case group.EventPushed:
					if e := servicetest.Decode[group.Event](t, string(data)); e.Version != want {
						t.Fatalf("event %d instead of %d", e.Version, want)
					}
					want++
				default:
					t.Fatal(event)
				}
			}
			if got == 0 || got > signals/2 {
				t.Errorf("%d of %d signals arrived", got, signals)
			}
		})
	}
}

// TestCatchingUpUnread checks that clients that catch up without reading take little memory
// each. They must get all events in order once they read.
func TestCatchingUpUnread(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const clients, events, each = 8, 200, 160 << 10
	st := servicetest.OpenStore(t)
	n := newNode(t, st, adapter.NewMesh())
	bench := &servicetest.Bench{Service: n.Service, Recorder: &servicetest.Recorder{}, Store: st}
	message := servicetest.Decode[dto.MessageRequest](t, `{"data":"`+strings.Repeat("x", 32_000)+`"}`)
	var groups []group.Group
	for range clients { // one group for each client, so that they share no pages
		g := bench.NewGroup(t, `{"name":"g"}`)
		for range events {
			if _, err := n.Post(t.Context(), user("alice"), g.ID, message); err != nil {
				t.Fatal(err)
			}
		}
		groups = append(groups, g)
	}
	slow := make([]*slowClient, clients)
	for i := range slow {
		slow[i] = n.dialSlow(t, "member", i%2 == 0)
	}
	before := heap()
	for i, c := range slow {
		c.subscribe(groups[i].ID, `,"since":1`)
	}
	var used int64
	for range 50 { // until memory use is stable
		time.Sleep(20 * time.Millisecond)
		used = heap() - before
	}
	if used > clients*each {
		t.Errorf("%d clients that do not read take %d KiB each, want %d", clients, used/clients>>10, each>>10)
	}
	for i, c := range slow[:2] {
		for want := int64(2); want <= groups[i].Version+events; {
			event, data := c.next()
			if event != group.EventPushed {
				continue
			}
			if e := servicetest.Decode[group.Event](t, string(data)); e.Version != want {
				t.Fatalf("event %d instead of %d", e.Version, want)
			}
			want++
		}
	}
}
