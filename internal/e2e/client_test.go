package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// conn is a client's connection: the real socket.io-client, or a plain
// WebSocket.
type conn interface {
	// request sends an event and returns the data of the answer. An error answer is an *apiError.
	request(ctx context.Context, event string, data any) (json.RawMessage, error)
	// gone is closed when the connection is lost, unless the client reconnects by itself.
	gone() <-chan struct{}
	// close closes the connection. The client does not reconnect.
	close()
}

// listener receives the events of a connection, one call at a time.
type listener interface {
	pushed(event string, data json.RawMessage)
	// disconnected is called with the reason of Socket.IO, or with the close code of a plain
	// WebSocket.
	disconnected(reason string)
	// connected is called after each connect, including the first.
	connected()
}

// endpoint opens a connection to a node for a token.
type endpoint struct {
	name string
	open func(ctx context.Context, base, token string, l listener) (conn, error)
}

// answer is the answer to a request in both protocols.
type answer struct {
	Data  json.RawMessage `json:"data"`
	Error *apiError       `json:"error"`
}

func (a answer) result() (json.RawMessage, error) {
	if a.Error != nil {
		return nil, a.Error
	}
	return a.Data, nil
}

// client is one user's connection and what it received.
type client struct {
	*inbox
	t    *testing.T
	user string
	conn conn
}

// connect opens a connection through an endpoint. It fails the test if the connection is refused.
func connect(t *testing.T, d endpoint, n *node, user, token string) *client {
	t.Helper()
	c := &client{inbox: newInbox(user + "@" + n.name + d.name), t: t, user: user}
	c.contract = readContract(t, n.URL())
	opened, err := d.open(t.Context(), n.URL(), token, c.inbox)
	if err != nil {
		t.Fatalf("connect %s: %v", c.name, err)
	}
	c.conn = opened
	t.Cleanup(func() {
		opened.close()
		for _, fault := range c.faults() {
			t.Errorf("%s: %s", c.name, fault)
		}
	})
	return c
}

// request sends an event and decodes its answer into out, unless out is nil.
func (c *client) request(event string, data, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	raw, err := c.conn.request(ctx, event, data)
	if err != nil {
		if failure, ok := errors.AsType[*apiError](err); ok && failure.Code != "" {
			c.fault(c.contract.checkFailure(event, failure))
		}
		return err
	}
	c.fault(c.contract.checkCall(event, data, raw))
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s answered %s: %w", event, raw, err)
	}
	return nil
}

// fault records err as a violation of the contract, unless it is nil.
func (c *client) fault(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, err.Error())
}

// must sends an event and fails the test if it is refused.
func (c *client) must(event string, data, out any) {
	c.t.Helper()
	if err := c.request(event, data, out); err != nil {
		c.t.Fatalf("%s: %s: %v", c.name, event, err)
	}
}

// mustRefuse sends an event and expects an error answer with a code.
func (c *client) mustRefuse(code, event string, data any) {
	c.t.Helper()
	checkRefusal(c.t, c.name+": "+event, c.request(event, data, nil), code)
}

// subscribe follows a group from its current version on.
func (c *client) subscribe(groupID string) subscription {
	c.t.Helper()
	var answered subscription
	c.must("group:subscribe", object{"groupId": groupID}, &answered)
	c.stream(groupID).begin(answered)
	return answered
}

// resume follows a group from the version after since.
func (c *client) resume(groupID string, since int64) subscription {
	c.t.Helper()
	var answered subscription
	c.stream(groupID).resume(since)
	c.must("group:subscribe", object{"groupId": groupID, "since": since}, &answered)
	c.stream(groupID).resumed(since, answered)
	return answered
}

// needVersion waits until the client has received every event of a group up to version.
func (c *client) needVersion(groupID string, version int64, within time.Duration) {
	c.t.Helper()
	s := c.stream(groupID)
	if !wait(within, func() bool { return s.head() >= version }) {
		c.t.Fatalf("%s has version %d of group %s, want %d within %s", c.name, s.head(), groupID, version, within)
	}
}

// needClosed waits until the client's subscription is closed for this reason.
func (c *client) needClosed(groupID, reason string, within time.Duration) {
	c.t.Helper()
	s := c.stream(groupID)
	if !wait(within, func() bool { return s.closedFor() != "" }) {
		c.t.Fatalf("%s: group %s is not closed within %s; want %s", c.name, groupID, within, reason)
	}
	if got := s.closedFor(); got != reason {
		c.t.Errorf("%s: group %s closed for %q, want %q", c.name, groupID, got, reason)
	}
}
