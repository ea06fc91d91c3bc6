package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/auth"
)

// answered is the result of a call: yes, the status in the answer, or the code of an error.
type answered struct {
	result string
	status int // over HTTP
	body   json.RawMessage
}

// person is a user with a client for each endpoint.
type person struct {
	client     *http.Client
	url, token string
	sio, plain *wire
}

func newPerson(t *testing.T, client *http.Client, url, name string, sockets bool) *person {
	t.Helper()
	id := auth.Identity{UserID: name, Admin: name == backend, Expires: time.Now().Add(time.Hour)}
	token, err := auth.Mint([]byte(secret), id)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{client: client, url: url, token: token}
	if sockets {
		p.sio, p.plain = dialIO(t, url, token), dialSockets(t, url, token)
	}
	return p
}

// call makes a call over HTTP.
func (p *person) call(t *testing.T, method, path string, body any) (a answered) {
	t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Error(err)
		}
		reader = strings.NewReader(string(raw))
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+"/v1"+path, reader)
	if err != nil {
		t.Error(err)
		return a
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := p.client.Do(req)
	if err != nil {
		t.Error(err)
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	a.status = resp.StatusCode
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	a.result = outcome(a.body, a.status < 300)
	return a
}

// outcome returns the result from an answer or an error.
func outcome(body json.RawMessage, ok bool) string {
	var said struct{ Code, Status any } // in a problem document, the status is a number
	_ = json.Unmarshal(body, &said)
	status, isText := said.Status.(string)
	switch {
	case !ok:
		return fmt.Sprint(said.Code)
	case isText && (status == "requested" || status == "offered"):
		return status
	default:
		return "yes"
	}
}

// wire is a connection to a socket endpoint. It makes one request at a time, and skips pushed
// messages.
type wire struct {
	conn   *websocket.Conn
	socket bool // Socket.IO

	turn    sync.Mutex
	replies chan string // the answer to the current request

	write sync.Mutex
}

// dialIO connects over Socket.IO, and dialSockets to /ws.
func dialIO(t *testing.T, url, token string) *wire {
	t.Helper()
	w := dialWire(t, url+"/socket.io/?EIO=4&transport=websocket", nil)
	w.socket = true
	w.send(t, `40{"token":"`+token+`"}`)
	for {
		_, message, err := w.conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(message), "40") {
			return w.start(t)
		}
	}
}

func dialSockets(t *testing.T, url, token string) *wire {
	t.Helper()
	return dialWire(t, url+"/ws", []string{"moim", "bearer." + token}).start(t)
}

func dialWire(t *testing.T, url string, protocols []string) *wire {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: protocols}
	conn, resp, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{conn: conn, replies: make(chan string, 1)}
}

// start starts to read.
func (w *wire) start(t *testing.T) *wire {
	t.Helper()
	go func() {
		defer close(w.replies)
		for {
			_, message, err := w.conn.ReadMessage()
			if err != nil {
				return
			}
			text := string(message)
			switch {
			case w.socket && text == "2": // a ping
				w.send(t, "3")
			case w.socket && strings.HasPrefix(text, "43"):
				w.replies <- text[strings.IndexByte(text, '[')+1 : len(text)-1]
			case !w.socket && strings.HasPrefix(text, `{"id":`):
				w.replies <- text
			}
		}
	}()
	return w
}

func (w *wire) send(t *testing.T, message string) {
	t.Helper()
	w.write.Lock()
	defer w.write.Unlock()
	if err := w.conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		t.Error(err)
	}
}

// ask makes a request and returns its result.
func (w *wire) ask(t *testing.T, event string, data any) string {
	t.Helper()
	w.turn.Lock()
	defer w.turn.Unlock()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Error(err)
	}
	if w.socket {
		w.send(t, fmt.Sprintf(`421[%q,%s]`, event, raw))
	} else {
		w.send(t, fmt.Sprintf(`{"id":1,"event":%q,"data":%s}`, event, raw))
	}
	reply, ok := <-w.replies
	var said struct{ Data, Error json.RawMessage }
	if err := json.Unmarshal([]byte(reply), &said); !ok || err != nil {
		t.Errorf("%s is answered %q, %v", event, reply, err)
	}
	if said.Error != nil {
		return outcome(said.Error, false)
	}
	return outcome(said.Data, true)
}
