// Package authorize asks an application's back end whether a user may do something, before
// they do it. It posts each question to a URL, and refuses if there is no usable answer,
// unless the operator wants otherwise.
//
// The package knows what is asked and what answers mean. It does not know when a question is
// due: packages group and socket call it.
package authorize

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

const (
	// Timeout bounds a question, from asking to the end of the answer.
	Timeout = 2 * time.Second
	// slots is how many questions a node asks at once. Further ones wait.
	slots = 256
	// breakAfter is how many questions in a row must stay without an answer before none is
	// asked for breakFor. Then one is asked, and the others follow when it is answered.
	breakAfter = 5
	breakFor   = 2 * time.Second
	// warnEvery is the shortest time between two lines about failures.
	warnEvery = time.Minute
)

// Why a question stays without an answer.
var (
	errSuspended = errors.New("it is not asked, because it did not answer several questions in a row")
	errBusy      = errors.New("too many questions wait for it")
)

// Gatekeeper asks the back end. It is safe for concurrent use.
type Gatekeeper struct {
	cfg     Config
	secrets []string
	client  *webhook.Client
	breaker circuitbreaker.CircuitBreaker[any]
	slots   chan struct{}
	memory  *memory
	metrics *metrics
	log     *slog.Logger
	failing tasks.Seldom
}

var (
	_ group.Gatekeeper  = (*Gatekeeper)(nil)
	_ socket.Gatekeeper = (*Gatekeeper)(nil)
)

func newClient(cfg Config) *webhook.Client {
	return webhook.NewClient(webhook.Options{
		Private: cfg.Private, Timeout: Timeout, Idle: slots, MaxAnswer: maxAnswer, UserAgent: "Moim/" + cfg.Version,
	})
}

// Check connects to the back end of a valid configuration, and asks nothing.
func Check(ctx context.Context, cfg Config) error {
	client := newClient(cfg)
	defer client.Close()
	return client.Check(ctx, cfg.URL)
}

// New returns a gatekeeper for a configuration that is valid and has a URL.
func New(cfg Config, log *slog.Logger) (*Gatekeeper, error) {
	cfg = cfg.WithDefaults()
	remembered, err := newMemory()
	if err != nil {
		return nil, err
	}
	return &Gatekeeper{
		cfg: cfg, secrets: cfg.secrets(), metrics: newMetrics(), memory: remembered, log: log, slots: make(chan struct{}, slots),
		client:  newClient(cfg),
		breaker: circuitbreaker.NewBuilder[any]().WithFailureThreshold(breakAfter).WithSuccessThreshold(1).WithDelay(breakFor).Build(),
	}, nil
}

// Close closes idle connections.
func (g *Gatekeeper) Close() { g.client.Close() }

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

// question is the body of a request.
type question struct {
	Event   string `json:"event"`
	UserID  string `json:"userId"`
	GroupID string `json:"groupId,omitempty"`
	Data    any    `json:"data,omitempty"`
}

// Ask implements [group.Gatekeeper].
func (g *Gatekeeper) Ask(ctx context.Context, q group.Question) (group.Verdict, error) {
	body, err := rawjson.Marshal(question(q))
	if err != nil {
		return group.Verdict{}, err
	}
	key := keyOf(q, body)
	if a, known := g.memory.find(key); known {
		g.metrics.count(q.Event, remembered)
		return a.verdict()
	}
	a, err := g.ask(ctx, q.Event, body)
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

// ask posts a question. It also waits for the answer if the caller does not, because the
// breaker needs to know how it ended.
func (g *Gatekeeper) ask(ctx context.Context, event string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Timeout)
	defer cancel()
	if g.breaker.IsOpen() && g.breaker.RemainingDelay() > 0 {
		return answer{}, errSuspended
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return answer{}, errBusy
	}
	if !g.breaker.TryAcquirePermit() {
		return answer{}, errSuspended
	}
	began := time.Now()
	reply, err := g.client.Post(ctx, webhook.Request{URL: g.cfg.URL, ID: "ask_" + uuid.NewString(), Secrets: g.secrets, Body: body})
	g.metrics.took(event, time.Since(began))
	if err != nil || silent(reply.Status) {
		g.breaker.RecordFailure()
	} else {
		g.breaker.RecordSuccess()
	}
	if err != nil {
		return answer{}, err
	}
	return read(event, reply)
}

// failed returns what a user gets whose question has no usable answer.
func (g *Gatekeeper) failed(ctx context.Context, event string, err error) error {
	result, again := failed, fault.ErrUnavailable.Retry
	if errors.Is(err, errSuspended) {
		result, again = suspended, max(g.breaker.RemainingDelay(), time.Second)
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
