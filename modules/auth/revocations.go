package auth

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/fault"
)

const (
	// askEvery is how often a node asks for new revocations.
	askEvery = 500 * time.Millisecond
	// askTimeout bounds one such question.
	askTimeout = 5 * time.Second
	// forgetEvery is how often old revocations are removed.
	forgetEvery = time.Hour
)

var errRevoked = fault.ErrUnauthorized.WithMessage("the token was revoked: sign in again")

// Revocation says that the tokens of a user that were issued before an instant are
// refused. A token without iat was issued before any instant.
type Revocation struct {
	UserID string // or the user's pseudonym, see [RevocationStore]
	Before time.Time
	At     time.Time // when it was stored, by the store's clock
}

// Revokes reports whether id's token is refused.
func (r Revocation) Revokes(id Identity) bool {
	return id.UserID == r.UserID && id.Issued.Before(r.Before)
}

// RevocationStore keeps revocations for all nodes. Its methods may be called
// concurrently, and return fault.ErrUnavailable while it does not answer.
//
// A pseudonym stands for the id of a user who is erased. Only with the id at hand can one
// tell whose it is. It begins with [PseudonymPrefix], as no id does.
type RevocationStore interface {
	// Revoke stores a revocation, and with it the audit entries about it. Of two for one
	// user, the later Before counts; the other one changes nothing and leaves no entry.
	Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error
	// Revocations returns what was stored at since or later, and the time to ask
	// since next, so that none is missed. Some may be returned again.
	Revocations(ctx context.Context, since time.Time) (list []Revocation, next time.Time, err error)
	// Forget removes revocations that were stored longer ago than age.
	Forget(ctx context.Context, age time.Duration) error
	// Conceal replaces a user's id in their revocation by the pseudonym.
	Conceal(ctx context.Context, userID string) error
	// Pseudonym returns a user's pseudonym, without I/O.
	Pseudonym(userID string) (string, error)
}

// PseudonymPrefix begins each pseudonym. It is a control character.
const PseudonymPrefix = "\x01"

// Revocations knows the revoked tokens. It has all revocations in memory, so that
// checking a token needs no I/O, and asks the store for new ones twice a second. Its
// methods may be called concurrently.
type Revocations struct {
	store RevocationStore
	keep  time.Duration
	log   *slog.Logger
	asks  *tasks.Group

	mu       sync.RWMutex
	revoked  map[string]Revocation // by user id or pseudonym
	hidden   int                   // of them with a pseudonym
	next     time.Time             // to ask the store since; used by Start and then by the asking goroutine
	watchers []func(Revocation)
}

// NewRevocations returns Revocations that cfg.RevocationKeep bounds.
func NewRevocations(cfg Config, store RevocationStore, log *slog.Logger) *Revocations {
	return &Revocations{
		store: store, keep: cfg.WithDefaults().RevocationKeep, log: log, asks: tasks.New(),
		revoked: make(map[string]Revocation),
	}
}

// OnRevoked has fn called with each new revocation, by any node. fn must not block.
// Call it before Start.
func (r *Revocations) OnRevoked(fn func(Revocation)) { r.watchers = append(r.watchers, fn) }

// Start reads all revocations. It fails if it cannot: a node that does not know them
// must not accept tokens.
func (r *Revocations) Start(ctx context.Context) error {
	if err := r.ask(ctx); err != nil {
		return fmt.Errorf("read the revoked tokens: %w", err)
	}
	r.asks.Run(func(ctx context.Context) {
		failing := false
		tasks.Every(ctx, askEvery, nil, func() {
			err := r.ask(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				r.log.Warn("auth: cannot ask for revoked tokens; trying again", "err", err)
			}
			failing = err != nil
		})
	})
	r.asks.Run(func(ctx context.Context) {
		tasks.Every(ctx, forgetEvery, nil, func() { r.forget(ctx) })
	})
	return nil
}

// Stop ends the asking and waits for that until ctx ends.
func (r *Revocations) Stop(ctx context.Context) error { return r.asks.Stop(ctx) }

// Guard returns verify without the tokens that were revoked.
func (r *Revocations) Guard(verify func(ctx context.Context, token string) (Identity, error)) func(ctx context.Context, token string) (Identity, error) {
	return func(ctx context.Context, token string) (Identity, error) {
		id, err := verify(ctx, token)
		if err == nil {
			err = r.Check(id)
		}
		if err != nil {
			return Identity{}, err
		}
		return id, nil
	}
}

// Check returns fault.ErrUnauthorized if id's token was revoked.
func (r *Revocations) Check(id Identity) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.revoked[id.UserID].Revokes(id) {
		return errRevoked
	}
	if r.hidden == 0 {
		return nil
	}
	pseudonym, err := r.store.Pseudonym(id.UserID)
	if err != nil {
		return err
	}
	if of, there := r.revoked[pseudonym]; there && id.Issued.Before(of.Before) {
		return errRevoked
	}
	return nil
}

// Revoke refuses the tokens of a user that were issued before an instant, here from
// now on and on the other nodes within a second. It returns fault.ErrUnavailable if
// that cannot be stored. The entries are stored if that changes something.
func (r *Revocations) Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error {
	if err := r.store.Revoke(ctx, userID, before, entries...); err != nil {
		return err
	}
	r.apply(Revocation{UserID: userID, Before: before, At: time.Now()})
	return nil
}

// Conceal keeps a user's tokens refused, without their id in the store. It returns
// fault.ErrUnavailable if that cannot be stored.
func (r *Revocations) Conceal(ctx context.Context, userID string) error {
	return r.store.Conceal(ctx, userID)
}

// ask takes new revocations from the store.
func (r *Revocations) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, next, err := r.store.Revocations(ctx, r.next)
	if err != nil {
		return err
	}
	r.next = next
	for _, revocation := range list {
		r.apply(revocation)
	}
	return nil
}

// apply takes a revocation, unless it is known, and tells the watchers.
func (r *Revocations) apply(revocation Revocation) {
	r.mu.Lock()
	known, there := r.revoked[revocation.UserID]
	isNew := !there || known.Before.Before(revocation.Before)
	if isNew {
		r.revoked[revocation.UserID] = revocation
	}
	if !there && strings.HasPrefix(revocation.UserID, PseudonymPrefix) {
		r.hidden++
	}
	r.mu.Unlock()
	if isNew {
		for _, watch := range r.watchers {
			watch(revocation)
		}
	}
}

// forget removes what is older than the configured age.
func (r *Revocations) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := r.store.Forget(ctx, r.keep); err != nil {
		r.log.WarnContext(ctx, "auth: cannot remove old revocations; trying again later", "err", err)
	}
	oldest := time.Now().Add(-r.keep)
	r.mu.Lock()
	defer r.mu.Unlock()
	for userID, revocation := range r.revoked {
		if !revocation.At.Before(oldest) {
			continue
		}
		delete(r.revoked, userID)
		if strings.HasPrefix(userID, PseudonymPrefix) {
			r.hidden--
		}
	}
}
