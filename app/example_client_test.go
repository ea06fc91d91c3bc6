package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
)

// settings returns a configuration with its own folder and secret, and a function that removes
// the folder.
func settings() (cfg config.Config, remove func()) {
	dir, err := os.MkdirTemp("", "moim")
	check(err)
	cfg.Data.Dir = dir
	cfg.Auth.Secret = "a secret of at least thirty-two bytes"
	return cfg, func() { check(os.RemoveAll(dir)) }
}

// tokenFor issues a token like a back end with the same secret.
func tokenFor(cfg config.Config, user string) string {
	token, err := cfg.Auth.Mint(auth.Identity{UserID: user, Expires: time.Now().Add(time.Hour)})
	check(err)
	return token
}

// visit sends a GET request and returns the status and the body.
func visit(url string) (int, string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(err)
	return resp.StatusCode, string(body)
}

// visitor is a client of the plain endpoint.
type visitor struct{ conn *websocket.Conn }

// message is a message that a visitor receives: an answer, which has an ID, or an event.
type message struct {
	ID    int             `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	Error json.RawMessage `json:"error"`
}

// connect opens a client at the server's path, like "/ws".
func connect(server *httptest.Server, path, token string) visitor {
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+path, http.Header{"Authorization": {"Bearer " + token}})
	check(err)
	_ = resp.Body.Close()
	return visitor{conn}
}

func (v visitor) close() { _ = v.conn.Close() }

// ask sends an event and returns the data of its answer, or the error.
func (v visitor) ask(event, data string) string {
	v.send(fmt.Sprintf(`{"id":1,"event":%q,"data":%s}`, event, data))
	return v.await(func(m message) bool { return m.ID == 1 })
}

// tell sends an event without asking for an answer.
func (v visitor) tell(event, data string) {
	v.send(fmt.Sprintf(`{"event":%q,"data":%s}`, event, data))
}

// hear waits for an event and returns its data.
func (v visitor) hear(event string) string {
	return v.await(func(m message) bool { return m.Event == event })
}

func (v visitor) send(text string) { check(v.conn.WriteMessage(websocket.TextMessage, []byte(text))) }

func (v visitor) await(wanted func(message) bool) string {
	for {
		var m message
		check(v.conn.ReadJSON(&m))
		if wanted(m) {
			return string(m.Data) + string(m.Error)
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
