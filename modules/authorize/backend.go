package authorize

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/webhook"
)

const (
	// slots is how many questions a node asks at once. Further ones wait.
	slots = 256
	// breakAfter is how many questions in a row must stay without an answer before none is
	// asked for breakFor. Then one is asked, and the others follow when it is answered.
	breakAfter = 5
	breakFor   = 2 * time.Second
)

// Why a question is not asked.
var (
	errSuspended = errors.New("it is not asked, because it did not answer several questions in a row")
	errBusy      = errors.New("too many questions wait for it")
)

// unasked is the error of a question that is not asked.
type unasked struct {
	error
	again time.Duration // when to ask again; 0: any time
}

func (u unasked) Unwrap() error { return u.error }

// backEnd posts questions to a URL.
type backEnd struct {
	url     string
	secrets []string
	client  *webhook.Client
	breaker circuitbreaker.CircuitBreaker[any]
	slots   chan struct{}
}

func newBackEnd(cfg Config) *backEnd {
	return &backEnd{
		url: cfg.URL, secrets: cfg.secrets(), client: newClient(cfg), slots: make(chan struct{}, slots),
		breaker: circuitbreaker.NewBuilder[any]().WithFailureThreshold(breakAfter).WithSuccessThreshold(1).WithDelay(breakFor).Build(),
	}
}

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

// ask implements asker. It also waits for the answer if the caller does not, because the
// breaker needs to know how it ended.
func (b *backEnd) ask(ctx context.Context, q Question, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Timeout)
	defer cancel()
	if b.breaker.IsOpen() && b.breaker.RemainingDelay() > 0 {
		return answer{}, b.suspended()
	}
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return answer{}, unasked{error: errBusy}
	}
	if !b.breaker.TryAcquirePermit() {
		return answer{}, b.suspended()
	}
	reply, err := b.client.Post(ctx, webhook.Request{URL: b.url, ID: "ask_" + uuid.NewString(), Secrets: b.secrets, Body: body})
	if err != nil || silent(reply.Status) {
		b.breaker.RecordFailure()
	} else {
		b.breaker.RecordSuccess()
	}
	if err != nil {
		return answer{}, err
	}
	return read(q.Event, reply)
}

func (b *backEnd) suspended() unasked {
	return unasked{error: errSuspended, again: max(b.breaker.RemainingDelay(), time.Second)}
}
