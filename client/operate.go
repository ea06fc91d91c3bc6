package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// AuditEntry is a change that a back end made.
type AuditEntry struct {
	ID        string          `json:"id"`
	At        time.Time       `json:"at"`
	Actor     string          `json:"actor"`
	Via       string          `json:"via"`
	Action    string          `json:"action"`
	GroupID   string          `json:"groupId,omitempty"`
	UserID    string          `json:"userId,omitempty"`
	RequestID string          `json:"requestId,omitempty"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
}

// AuditFilter selects entries. The zero value selects all.
type AuditFilter struct {
	Actor  string    // only by this back end
	Target string    // only about this group or user
	Since  time.Time // only at this time or later
}

// Node is a node's report about itself.
type Node struct {
	ID              string  `json:"id"`
	Version         string  `json:"version"`
	URL             string  `json:"url,omitempty"`
	Uptime          int64   `json:"uptime"` // seconds
	Sockets         int     `json:"sockets"`
	Groups          int     `json:"groups"`
	EventsPerSecond float64 `json:"eventsPerSecond"`
	Lateness        float64 `json:"lateness"` // milliseconds, p99
	CPU             float64 `json:"cpu"`      // cores
	Memory          int64   `json:"memory"`   // bytes
}

// Nodes is the answer of all nodes.
type Nodes struct {
	Items   []Node   `json:"items"`
	Missing []string `json:"missing,omitempty"` // nodes that did not answer
}

// BatchCall is one call of a batch.
type BatchCall struct {
	Method string `json:"method"`
	Path   string `json:"path"` // with the query, as /groups/0198…/members?limit=10
	Body   any    `json:"body,omitempty"`
	Key    string `json:"key,omitempty"` // for a POST; if empty, derived from the key of the batch
}

// BatchAnswer is the answer to one call of a batch.
type BatchAnswer struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// Err returns the refusal of the call as an [*Error], or nil.
func (a BatchAnswer) Err() error {
	if a.Status < http.StatusMultipleChoices {
		return nil
	}
	e := &Error{Status: a.Status}
	if err := json.Unmarshal(a.Body, e); err != nil {
		e.Detail = http.StatusText(a.Status)
	}
	return e
}

// Audit lists the changes that back ends made, newest first.
func (c *Client) Audit(ctx context.Context, f AuditFilter) iter.Seq2[AuditEntry, error] {
	query := url.Values{}
	if f.Actor != "" {
		query.Set("actor", f.Actor)
	}
	if f.Target != "" {
		query.Set("target", f.Target)
	}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	return list[AuditEntry](ctx, c, query, "/audit")
}

// Nodes returns the reports of all nodes.
func (c *Client) Nodes(ctx context.Context) (Nodes, error) {
	return call[Nodes](ctx, c, newRequest(http.MethodGet, "/nodes"), nil, nil)
}

// Batch makes up to 100 calls in one request, one after the other. If a call fails, the
// next one is still made.
func (c *Client) Batch(ctx context.Context, calls []BatchCall, opts ...CallOption) ([]BatchAnswer, error) {
	answer, err := call[struct {
		Answers []BatchAnswer `json:"answers"`
	}](ctx, c, newRequest(http.MethodPost, "/batch"), map[string]any{"calls": calls}, opts)
	return answer.Answers, err
}
