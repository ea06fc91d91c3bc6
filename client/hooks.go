package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Webhook is a URL that receives the events of all groups.
type Webhook struct {
	Name      string     `json:"name"`
	URL       string     `json:"url,omitempty"` // empty for a function of the embedding program
	Events    []string   `json:"events"`
	Source    string     `json:"source"` // api, file or program
	Enabled   bool       `json:"enabled"`
	Problem   string     `json:"problem,omitempty"` // why it is disabled
	Secret    string     `json:"secret,omitempty"`  // only in the answer that created it: keep it
	Since     *time.Time `json:"since,omitempty"`
	CreatedAt time.Time  `json:"createdAt"`
	UpdatedAt time.Time  `json:"updatedAt"`
}

// NewWebhook describes a hook to create.
type NewWebhook struct {
	Name   string   `json:"name"`
	URL    string   `json:"url"`
	Events []string `json:"events"`           // such as member.joined, member.* or *; presence.* is not part of *
	Secret string   `json:"secret,omitempty"` // if empty, the server generates one
	Since  string   `json:"since,omitempty"`  // now (default) or start
}

// WebhookChange changes a hook. nil fields stay unchanged.
type WebhookChange struct {
	URL     *string  `json:"url,omitempty"`
	Events  []string `json:"events,omitempty"`
	Secret  *string  `json:"secret,omitempty"`
	Rotate  bool     `json:"rotate,omitempty"` // the server generates a new secret
	Enabled *bool    `json:"enabled,omitempty"`
}

// WebhookGroup is a group with something left to send.
type WebhookGroup struct {
	GroupID    string     `json:"groupId"`
	Presence   bool       `json:"presence,omitempty"` // changes of presence are left instead of events
	Version    int64      `json:"version"`            // version of the last event that the receiver has accepted; for presence, its n
	Head       int64      `json:"head"`               // version of the group's last event; for presence, the largest n
	Lag        int64      `json:"lag"`
	State      string     `json:"state"` // waiting, sending, retrying or parked
	Since      *time.Time `json:"since,omitempty"`
	Attempts   int        `json:"attempts"`
	NextAt     *time.Time `json:"nextAt,omitempty"`
	ParkedAt   *time.Time `json:"parkedAt,omitempty"`
	LastStatus int        `json:"lastStatus,omitempty"` // 0 if there was no answer
	Problem    string     `json:"problem,omitempty"`
}

// Replay describes what to send again. The zero value resumes deliveries that have stopped,
// in all groups.
type Replay struct {
	GroupID string `json:"groupId,omitempty"` // empty for all groups
	Since   string `json:"since,omitempty"`   // start, a time, or a version of the group
}

// TestResult is the result of a test delivery.
type TestResult struct {
	Accepted     bool   `json:"accepted"`
	Status       int    `json:"status,omitempty"`
	Problem      string `json:"problem,omitempty"`
	Milliseconds int64  `json:"milliseconds"`
}

// Webhooks lists the hooks.
func (c *Client) Webhooks(ctx context.Context) iter.Seq2[Webhook, error] {
	return list[Webhook](ctx, c, nil, "/hooks")
}

// CreateWebhook creates a hook. The answer has its secret, for [Hook]. The call is not
// repeated if its answer is lost, because the secret is returned only once.
func (c *Client) CreateWebhook(ctx context.Context, h NewWebhook, opts ...CallOption) (Webhook, error) {
	return call[Webhook](ctx, c, once(http.MethodPost, "/hooks"), h, opts)
}

// UpdateWebhook changes a hook. If the server generates a secret, the answer has it.
func (c *Client) UpdateWebhook(ctx context.Context, name string, change WebhookChange, opts ...CallOption) (Webhook, error) {
	return call[Webhook](ctx, c, once(http.MethodPatch, "/hooks/%s", name), change, opts)
}

// once returns a call that is not repeated if its answer is lost.
func once(method, path string, args ...string) *request {
	r := newRequest(method, path, args...)
	r.conditional = true
	return r
}

// DeleteWebhook deletes a hook and its positions.
func (c *Client) DeleteWebhook(ctx context.Context, name string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/hooks/%s", name), nil, opts)
}

// WebhookGroups lists the groups with something left to send.
func (c *Client) WebhookGroups(ctx context.Context, name string) iter.Seq2[WebhookGroup, error] {
	return list[WebhookGroup](ctx, c, nil, "/hooks/%s/groups", name)
}

// ReplayWebhook sends events again, in the background.
func (c *Client) ReplayWebhook(ctx context.Context, name string, replay Replay, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/hooks/%s/replay", name), replay, opts)
}

// TestWebhook sends a test delivery, and waits for the answer.
func (c *Client) TestWebhook(ctx context.Context, name string, opts ...CallOption) (TestResult, error) {
	return call[TestResult](ctx, c, newRequest(http.MethodPost, "/hooks/%s/test", name), nil, opts)
}
