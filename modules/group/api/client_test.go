package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// client is a plain WebSocket client. Only one goroutine may use it.
type client struct {
	t      *testing.T
	conn   *websocket.Conn
	calls  int
	pushed []push // received while the client waited for an answer
}

type push struct {
	ID    int             `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	Error *struct {
		Code   string        `json:"code"`
		Fields []fault.Field `json:"errors"`
	} `json:"error"`
}

func (n *node) dial(t *testing.T, userID string) *client {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + userID}}
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), n.url, header)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn}
}

func (c *client) receive() push {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Minute))
	var p push
	if err := c.conn.ReadJSON(&p); err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	return p
}

// call sends a request. It returns the answer, or "error: " and the code.
func (c *client) call(event, data string) string {
	c.t.Helper()
	c.calls++
	msg := fmt.Sprintf(`{"id":%d,"event":%q,"data":%s}`, c.calls, event, data)
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(msg)); err != nil {
		c.t.Fatal(err)
	}
	for {
		p := c.receive()
		switch {
		case p.ID != c.calls:
			c.pushed = append(c.pushed, p)
		case p.Error != nil:
			return "error: " + p.Error.Code
		default:
			return string(p.Data)
		}
	}
}

// next returns the next pushed message as "event data". An event of the log is returned as
// "event version type".
func (c *client) next() string {
	c.t.Helper()
	var p push
	if len(c.pushed) > 0 {
		p, c.pushed = c.pushed[0], c.pushed[1:]
	} else {
		p = c.receive()
	}
	if p.Event == "group:event" {
		e := servicetest.Decode[group.Event](c.t, string(p.Data))
		return fmt.Sprint(p.Event, " ", e.Version, " ", e.Type)
	}
	return p.Event + " " + string(p.Data)
}

func (c *client) wantNext(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.next(); got != w {
			c.t.Errorf("received %s, want %s", got, w)
		}
	}
}

// wantInAnyOrder checks that the next messages are those in want, in any order.
func (c *client) wantInAnyOrder(want ...string) {
	c.t.Helper()
	missing := make(map[string]bool)
	for _, w := range want {
		missing[w] = true
	}
	for range want {
		got := c.next()
		if !missing[got] {
			c.t.Fatalf("received %s, want %v", got, want)
		}
		delete(missing, got)
	}
}

// refused sends a request. It returns the error of the answer, and the answer's size.
func (c *client) refused(event, data string) (failure struct {
	Code   string
	Fields []fault.Field `json:"errors"`
}, size int,
) {
	c.t.Helper()
	c.calls++
	msg := fmt.Sprintf(`{"id":%d,"event":%q,"data":%s}`, c.calls, event, data)
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(msg)); err != nil {
		c.t.Fatal(err)
	}
	_, wire, err := c.conn.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	p := servicetest.Decode[push](c.t, string(wire))
	if p.ID != c.calls || p.Error == nil {
		c.t.Fatalf("answered %.200s", wire)
	}
	failure.Code, failure.Fields = p.Error.Code, p.Error.Fields
	return failure, len(wire)
}
