package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/moim-live/moim/internal/webhook"
)

const (
	// sendTimeout limits a delivery, from dialing to the end of the answer.
	sendTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be reused.
	maxAnswer = 16 << 10
	// idleConns is the maximum number of idle connections to a receiver.
	idleConns = 16
)

// Sender sends deliveries over HTTP. It is safe for concurrent use.
type Sender struct{ client *webhook.Client }

var _ Destination = (*Sender)(nil)

// NewSender returns a sender. cfg says whether it may send to private networks.
func NewSender(cfg Config, version string) *Sender {
	return &Sender{webhook.NewClient(webhook.Options{
		Private: cfg.Private, Timeout: sendTimeout, Idle: idleConns, MaxAnswer: maxAnswer, UserAgent: "Moim/" + version,
	})}
}

// Close closes idle connections.
func (s *Sender) Close() { s.client.Close() }

// Deliver implements [Destination].
func (s *Sender) Deliver(ctx context.Context, h Hook, d Delivery) error {
	body, err := encode(d)
	if err != nil {
		return fmt.Errorf("encode a delivery: %w", err)
	}
	now := time.Now()
	a, err := s.client.Post(ctx, webhook.Request{URL: h.URL, ID: d.ID, Secrets: h.secrets(now), Body: body})
	if a.Status != 0 && (a.Status < 200 || a.Status > 299) {
		return &Refusal{Status: a.Status, After: retryAfter(a.Header.Get("Retry-After"), now)}
	}
	return err
}

// encode returns the body. It leaves users' text as it is in the log.
func encode(d Delivery) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	var events any = d.Events
	if d.Presence != nil {
		events = d.Presence
	}
	err := e.Encode(struct {
		Hook    string `json:"hook"`
		GroupID string `json:"groupId"`
		Gap     bool   `json:"gap,omitempty"`
		Events  any    `json:"events"`
	}{d.Hook, d.GroupID, d.Gap, events})
	return bytes.TrimRight(out.Bytes(), "\n"), err
}
