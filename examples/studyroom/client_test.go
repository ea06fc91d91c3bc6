package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/modules/group"
)

// client speaks Socket.IO as socket.io-client 4 does over a WebSocket.
type client struct {
	tb   testing.TB
	user string
	ws   *websocket.Conn
	over chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	next    int
	answers map[int]chan answer
	heard   []push
}

// push is an event that the server sent.
type push struct {
	event string
	data  pushData
	size  int
}

// pushData has the fields of event data that the tests check.
type pushData struct {
	GroupID     string
	Version     int64
	Type        string
	EndsAt      time.Time
	SecondsLeft int
	From, To    string
	Reason      string
	UserID      string
	Status      string
	At          time.Time
}

// answer is an acknowledgement.
type answer struct {
	Data  json.RawMessage
	Error struct{ Code string }
}

// dial connects a user to a node and waits until the server accepts them.
func dial(tb testing.TB, addr, user string) *client {
	tb.Helper()
	c, err := open(tb, addr, user, "")
	if err != nil {
		tb.Fatalf("connect %s: %v", user, err)
	}
	return c
}

// open connects from a web site. An empty site means that the client is not a browser.
func open(tb testing.TB, addr, user, site string) (*client, error) {
	tb.Helper()
	header := http.Header{}
	if site != "" {
		header.Set("Origin", site)
	}
	ws, resp, err := websocket.DefaultDialer.DialContext(tb.Context(), "ws://"+addr+"/socket.io/?EIO=4&transport=websocket", header)
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("status %d: %w", resp.StatusCode, err)
		}
		return nil, err
	}
	_ = resp.Body.Close()
	c := &client{tb: tb, user: user, ws: ws, over: make(chan struct{}), answers: make(map[int]chan answer)}
	in := make(chan struct{})
	go c.read(in)
	tb.Cleanup(c.drop)
	c.send(`40{"token":"` + token(tb, user) + `"}`)
	select {
	case <-in:
		return c, nil
	case <-c.over:
		return nil, fmt.Errorf("refused")
	case <-time.After(patience):
		return nil, fmt.Errorf("no answer")
	}
}

// drop cuts the connection, like a lost network.
func (c *client) drop() {
	_ = c.ws.Close()
	<-c.over
}

func (c *client) send(packet string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.ws.WriteMessage(websocket.TextMessage, []byte(packet)) // a caller that waits for the answer fails
}

func (c *client) read(in chan struct{}) {
	defer close(c.over)
	for {
		_, message, err := c.ws.ReadMessage()
		if err != nil {
			return
		}
		packet := string(message)
		switch {
		case packet == "2":
			c.send("3")
		case strings.HasPrefix(packet, "40"):
			close(in)
		case strings.HasPrefix(packet, "42"):
			c.hear(packet[2:])
		case strings.HasPrefix(packet, "43"):
			id, args, _ := strings.Cut(packet[2:], "[")
			c.answered(id, "["+args)
		case strings.HasPrefix(packet, "4"):
			return // refused, or disconnected by the server
		}
	}
}

func (c *client) hear(packet string) {
	var event string
	var data pushData
	if err := json.Unmarshal([]byte(packet), &[]any{&event, &data}); err != nil {
		c.tb.Errorf("%s: %s: %v", c.user, packet, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, push{event, data, len(packet)})
}

func (c *client) answered(id, args string) {
	var list []answer
	number, err := strconv.Atoi(id)
	if err != nil || json.Unmarshal([]byte(args), &list) != nil || len(list) != 1 {
		c.tb.Errorf("%s: acknowledgement %s %s", c.user, id, args)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if waiting := c.answers[number]; waiting != nil {
		waiting <- list[0]
		delete(c.answers, number)
	}
}

// ask sends an event. It stores the data of the answer in out, or returns the
// error code.
func (c *client) ask(event string, data, out any) (code string) {
	c.tb.Helper()
	encoded, err := json.Marshal([]any{event, data})
	if err != nil {
		c.tb.Fatal(err)
	}
	got := make(chan answer, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.answers[id] = got
	c.mu.Unlock()
	c.send("42" + strconv.Itoa(id) + string(encoded))
	select {
	case a := <-got:
		if a.Error.Code == "" && out != nil {
			if err := json.Unmarshal(a.Data, out); err != nil {
				c.tb.Errorf("%s: %s answered %s", c.user, event, a.Data)
			}
		}
		return a.Error.Code
	case <-c.over:
		return "disconnected"
	case <-time.After(patience):
		return "no answer"
	}
}

// entered is the answer to room:join.
type entered struct {
	Members  []participant
	EndAt    time.Time
	RemainMs int64
	LeaderID string
}

type participant struct {
	UserID   string
	Status   string
	JoinedAt time.Time
}

// of returns the entry of a user.
func (e entered) of(user string) (p participant) {
	for _, m := range e.Members {
		if m.UserID == user {
			p = m
		}
	}
	return p
}

// count returns how many entries a user has.
func (e entered) count(user string) (n int) {
	for _, m := range e.Members {
		if m.UserID == user {
			n++
		}
	}
	return n
}

// join joins a room.
func (c *client) join(room string) (in entered) {
	c.tb.Helper()
	if code := c.ask("room:join", fields{"groupId": room}, &in); code != "" {
		c.tb.Fatalf("%s cannot join: %s", c.user, code)
	}
	return in
}

// leave leaves a room.
func (c *client) leave(room string) {
	c.tb.Helper()
	if code := c.ask("room:leave", fields{"groupId": room}, nil); code != "" {
		c.tb.Fatalf("%s cannot leave: %s", c.user, code)
	}
}

// pushes returns all received events of a room with a name.
func (c *client) pushes(event, room string) []push {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []push
	for _, p := range c.heard {
		if p.event == event && p.data.GroupID == room {
			found = append(found, p)
		}
	}
	return found
}

// told returns the data of all received events of a room with a name.
func (c *client) told(event, room string) []pushData {
	var data []pushData
	for _, p := range c.pushes(event, room) {
		data = append(data, p.data)
	}
	return data
}

// sees waits until the client has received an event about a user.
func (c *client) sees(event, room, user string) {
	c.tb.Helper()
	await(c.tb, c.user+" is told "+event+" of "+user, func() bool {
		return slices.ContainsFunc(c.told(event, room), func(d pushData) bool { return d.UserID == user })
	})
}

// seesLast waits until the latest event about a user has a status. A user who
// joins and leaves at once causes no event.
func (c *client) seesLast(room, user, status string) {
	c.tb.Helper()
	awaitFor(c.tb, lease+patience, c.user+" is told that "+user+" is "+status, func() bool {
		var last pushData
		for _, event := range []string{"room:participantsChanged", "room:participantReconnecting", "room:participantReconnected"} {
			for _, d := range c.told(event, room) {
				if d.UserID == user && d.At.After(last.At) {
					last = d
				}
			}
		}
		return last.Status == status || last.Status == "" && status == group.StatusOffline
	})
}

// needs waits until the client has received an event, and returns the first.
func (c *client) needs(event, room string) pushData {
	c.tb.Helper()
	await(c.tb, c.user+" is told "+event, func() bool { return len(c.told(event, room)) > 0 })
	return c.told(event, room)[0]
}

// fence waits until the client has received all events that are in the room's
// log at the time of the call.
func (c *client) fence(n *node, leader, room string) {
	c.tb.Helper()
	var posted pushData
	n.must(c.tb, leader, http.MethodPost, "/groups/"+room+"/messages", fields{"data": "fence"}, &posted)
	await(c.tb, c.user+" has all events", func() bool {
		events := c.told("group:event", room)
		return len(events) > 0 && events[len(events)-1].Version >= posted.Version
	})
}
