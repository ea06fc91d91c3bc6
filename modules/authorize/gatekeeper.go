// Package authorize asks an application's back end whether a user may do something, before
// they do it. A [Gatekeeper] posts each question to a URL, or calls a function of the
// embedding program. Without a usable answer it refuses, unless the operator configured
// otherwise.
//
// The package knows the questions and what answers mean. It does not know when to ask:
// packages group and socket call it.
package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

const (
	// Timeout limits a question, until the end of the answer.
	Timeout = 2 * time.Second
	// warnEvery is the minimum time between two log lines about failures.
	warnEvery = time.Minute
)

// Question asks whether a user may do something. It is also the body of the request.
type Question struct {
	Event   string          `json:"event"` // connect, create, join, message or signal
	UserID  string          `json:"userId"`
	GroupID string          `json:"groupId,omitempty"` // empty for connect and create
	Data    json.RawMessage `json:"data,omitempty"`    // see docs/authorize.md for each event's data
}

// asker gets answers to questions. It is safe for concurrent use.
type asker interface {
	// ask returns the answer to q within [Timeout]. body is q as JSON. An error means that
	// there is no usable answer.
	ask(ctx context.Context, q Question, body []byte) (answer, error)
}

// Gatekeeper asks the back end. It is safe for concurrent use.
type Gatekeeper struct {
	cfg     Config
	asker   asker
	close   func()
	memory  *memory
	metrics *metrics
	log     *slog.Logger
	failing tasks.Seldom
}

var (
	_ group.Gatekeeper  = (*Gatekeeper)(nil)
	_ socket.Gatekeeper = (*Gatekeeper)(nil)
)

// New returns a gatekeeper. cfg must be valid and have a URL.
func New(cfg Config, log *slog.Logger) (*Gatekeeper, error) {
	b := newBackEnd(cfg)
	return build(cfg, b, b.client.Close, log)
}

// NewOf returns a gatekeeper that asks a function of the program. cfg must be valid and
// have no URL.
func NewOf(cfg Config, fn Func, log *slog.Logger) (*Gatekeeper, error) {
	return build(cfg, fn, func() {}, log)
}

func build(cfg Config, a asker, closing func(), log *slog.Logger) (*Gatekeeper, error) {
	remembered, err := newMemory()
	if err != nil {
		return nil, err
	}
	return &Gatekeeper{cfg: cfg.WithDefaults(), asker: a, close: closing, metrics: newMetrics(), memory: remembered, log: log}, nil
}

// Close closes idle connections.
func (g *Gatekeeper) Close() { g.close() }

// Asks implements [group.Gatekeeper].
func (g *Gatekeeper) Asks(event string) bool { return slices.Contains(g.cfg.Events, event) }

// MayConnect implements [socket.Gatekeeper].
func (g *Gatekeeper) MayConnect(ctx context.Context, user auth.Identity) error {
	if user.Admin || !g.Asks(Connect) {
		return nil
	}
	_, err := g.Ask(ctx, group.Question{Event: Connect, UserID: user.UserID})
	return err
}

// Ask implements [group.Gatekeeper].
func (g *Gatekeeper) Ask(ctx context.Context, about group.Question) (group.Verdict, error) {
	q := Question{Event: about.Event, UserID: about.UserID, GroupID: about.GroupID}
	var err error
	if about.Data != nil {
		if q.Data, err = rawjson.Marshal(about.Data); err != nil {
			return group.Verdict{}, err
		}
	}
	body, err := rawjson.Marshal(q)
	if err != nil {
		return group.Verdict{}, err
	}
	key := keyOf(about, body)
	if a, known := g.memory.find(key); known {
		g.metrics.count(q.Event, remembered)
		return a.verdict()
	}
	began := time.Now()
	a, err := g.asker.ask(ctx, q, body)
	if !errors.As(err, new(unasked)) {
		g.metrics.took(q.Event, time.Since(began))
	}
	if err != nil {
		return group.Verdict{}, g.failed(ctx, q.Event, err)
	}
	g.memory.keep(key, a)
	if a.allow {
		g.metrics.count(q.Event, allowed)
	} else {
		g.metrics.count(q.Event, refused)
	}
	return a.verdict()
}

// failed returns the result for a user whose question has no usable answer.
func (g *Gatekeeper) failed(ctx context.Context, event string, err error) error {
	result, again := failed, fault.ErrUnavailable.Retry
	var why unasked
	if errors.As(err, &why) && why.again > 0 {
		result, again = suspended, why.again
	}
	g.metrics.count(event, result)
	if g.failing.May(warnEvery) {
		g.log.WarnContext(ctx, "authorize: the back end gave no usable answer", "event", event, "err", err, "open", g.cfg.Open)
	}
	if g.cfg.Open {
		return nil
	}
	return errUnanswered.WithRetry(again).WithCause(err)
}

var errUnanswered = fault.ErrUnavailable.WithMessage("the application's back end did not say whether this is allowed: try again")
