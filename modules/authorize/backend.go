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
	// slots is the maximum number of questions that a node asks at the same time. Further
	// ones wait.
	slots = 256
	// breakAfter is the number of questions in a row without an answer after which none is
	// asked for breakFor. Then one question is asked; the others follow after its answer.
	breakAfter = 5
	breakFor   = 2 * time.Second
)

// Reasons why a question is not asked.
var (
	errSuspended = errors.New("it is not asked, because it did not answer several questions in a row")
	errBusy      = errors.New("too many questions wait for it")
)

// unasked is the error of a question that was not asked.
type unasked struct {
	error
	again time.Duration // wait before the next question; 0 for none
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

// Check connects to the back end of a valid configuration. It asks no question.
func Check(ctx context.Context, cfg Config) error {
	client := newClient(cfg)
	defer client.Close()
	return client.Check(ctx, cfg.URL)
}

// ask implements asker. It waits for the answer even if the caller does not, because the
// breaker needs the result.
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
