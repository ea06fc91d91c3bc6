package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// plain is the endpoint /ws.
var plain = endpoint{name: "/ws", open: openPlain}

// plainConn is a simple client of the plain WebSocket protocol.
type plainConn struct {
	ws     *websocket.Conn
	closed chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	next    int64
	waiting map[int64]chan answer
}

// plainMessage is any message of the protocol.
type plainMessage struct {
	ID    int64           `json:"id,omitempty"`
	Event string          `json:"event,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
	Error *apiError       `json:"error,omitempty"`
}

// openPlain connects with the token in the subprotocol, as browsers must.
func openPlain(ctx context.Context, base, token string, l listener) (conn, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"moim", "bearer." + token}}
	ws, resp, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/ws", nil)
	if err != nil {
		if resp != nil {
			refusal := &apiError{Status: resp.StatusCode}
			if json.NewDecoder(resp.Body).Decode(refusal) == nil {
				return nil, refusal
			}
		}
		return nil, err
	}
	if got := ws.Subprotocol(); got != "moim" {
		_ = ws.Close()
		return nil, fmt.Errorf("the server chose the subprotocol %q, want moim", got)
	}
	c := &plainConn{ws: ws, closed: make(chan struct{}), waiting: make(map[int64]chan answer)}
	l.connected()
	go c.read(l)
	return c, nil
}

func (c *plainConn) read(l listener) {
	defer close(c.closed)
	for {
		_, text, err := c.ws.ReadMessage()
		if err != nil {
			reason := "broken"
			if closing, ok := errors.AsType[*websocket.CloseError](err); ok {
				reason = strconv.Itoa(closing.Code)
			}
			l.disconnected(reason)
			return
		}
		var m plainMessage
		if err := json.Unmarshal(text, &m); err != nil {
			l.pushed("not JSON: "+string(text), nil)
			continue
		}
		if m.ID == 0 {
			l.pushed(m.Event, m.Data)
			continue
		}
		c.mu.Lock()
		waiting := c.waiting[m.ID]
		delete(c.waiting, m.ID)
		c.mu.Unlock()
		if waiting != nil {
			waiting <- answer{Data: m.Data, Error: m.Error}
		} else {
			l.pushed(fmt.Sprintf("a second answer: %s", text), nil)
		}
	}
}

// request implements conn.
func (c *plainConn) request(ctx context.Context, event string, data any) (json.RawMessage, error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	answered := make(chan answer, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.waiting[id] = answered
	err = c.ws.WriteJSON(plainMessage{ID: id, Event: event, Data: encoded})
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case a := <-answered:
		return a.result()
	case <-c.closed:
		return nil, errors.New("the connection is closed")
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// gone implements conn.
func (c *plainConn) gone() <-chan struct{} { return c.closed }

// close implements conn.
func (c *plainConn) close() {
	_ = c.ws.Close()
	<-c.closed
}
