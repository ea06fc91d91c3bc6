package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Event is one change of a group. Versions are 1, 2, 3 … within the group, without gaps.
type Event struct {
	GroupID string          `json:"groupId"`
	Version int64           `json:"version"`
	Type    string          `json:"type"`  // such as member.joined
	Actor   *string         `json:"actor"` // a user id; nil for the system
	Data    json.RawMessage `json:"data"`
	At      time.Time       `json:"at"`
}

// Message is the current state of a message.
type Message struct {
	Version   int64           `json:"version"`
	Type      string          `json:"type"`
	Data      json.RawMessage `json:"data"` // null if deleted
	Actor     *string         `json:"actor"`
	At        time.Time       `json:"at"`
	EditedAt  *time.Time      `json:"editedAt,omitempty"`
	DeletedAt *time.Time      `json:"deletedAt,omitempty"`
}

// Post posts a message. encoding/json encodes data. An empty messageType means "message".
func (c *Client) Post(ctx context.Context, groupID, messageType string, data any, opts ...CallOption) (Event, error) {
	body := struct {
		Type string `json:"type,omitempty"`
		Data any    `json:"data"`
	}{messageType, data}
	return call[Event](ctx, c, newRequest(http.MethodPost, "/groups/%s/messages", groupID), body, opts)
}

// Messages lists the messages of a group, newest first.
func (c *Client) Messages(ctx context.Context, groupID string) iter.Seq2[Message, error] {
	return list[Message](ctx, c, nil, "/groups/%s/messages", groupID)
}

// EditMessage replaces the data of a message.
func (c *Client) EditMessage(ctx context.Context, groupID string, version int64, data any, opts ...CallOption) (Event, error) {
	r := newRequest(http.MethodPatch, "/groups/%s/messages/%s", groupID, strconv.FormatInt(version, 10))
	return call[Event](ctx, c, r, map[string]any{"data": data}, keyed(opts))
}

// DeleteMessage deletes a message.
func (c *Client) DeleteMessage(ctx context.Context, groupID string, version int64, opts ...CallOption) (Event, error) {
	r := newRequest(http.MethodDelete, "/groups/%s/messages/%s", groupID, strconv.FormatInt(version, 10))
	return call[Event](ctx, c, r, nil, keyed(opts))
}

// keyed adds an idempotency key to a call that is not a POST but creates an event each
// time. A key in opts has precedence.
func keyed(opts []CallOption) []CallOption {
	return append([]CallOption{Key(uuid.NewString())}, opts...)
}

// Events lists the events of a group after a version, oldest first.
func (c *Client) Events(ctx context.Context, groupID string, since int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			r := newRequest(http.MethodGet, "/groups/%s/events", groupID)
			r.query.Set("since", strconv.FormatInt(since, 10))
			r.query.Set("limit", pageSize)
			p, err := call[page[Event]](ctx, c, r, nil, nil)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range p.Items {
				if !yield(e, nil) {
					return
				}
			}
			if len(p.Items) == 0 {
				return
			}
			since = p.Version
		}
	}
}

// Signal sends a signal to the subscribers of a group, or only to the users in to if that
// is not nil. A signal is delivered at most once, and not stored.
func (c *Client) Signal(ctx context.Context, groupID, signalType string, data any, to []string, opts ...CallOption) error {
	body := struct {
		Type string   `json:"type"`
		Data any      `json:"data,omitempty"`
		To   []string `json:"to,omitzero"`
	}{signalType, data, to}
	return tell(ctx, c, newRequest(http.MethodPost, "/groups/%s/signals", groupID), body, opts)
}
