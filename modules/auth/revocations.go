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
	// askEvery is the interval at which a node reads new revocations.
	askEvery = 500 * time.Millisecond
	// askTimeout limits one read.
	askTimeout = 5 * time.Second
	// forgetEvery is the interval at which old revocations are removed.
	forgetEvery = time.Hour
)

var errRevoked = fault.ErrUnauthorized.WithMessage("the token was revoked: sign in again")

// Revocation refuses a user's tokens that were issued before a time. A token without iat
// counts as issued before any time.
type Revocation struct {
	UserID string // the user's id or pseudonym, see [RevocationStore]
	Before time.Time
	At     time.Time // time of storage, by the store's clock
}

// Revokes reports whether id's token is refused.
func (r Revocation) Revokes(id Identity) bool {
	return id.UserID == r.UserID && id.Issued.Before(r.Before)
}

// RevocationStore keeps revocations for all nodes. It is safe for concurrent use. Its
// methods return fault.ErrUnavailable while it does not answer.
//
// A pseudonym replaces the id of an erased user. It can be computed from the id, but not
// the other way round. It begins with [PseudonymPrefix], as no id does.
type RevocationStore interface {
	// Revoke stores a revocation and the audit entries about it. If a user has one with the
	// same or a later Before, Revoke changes nothing and stores no entries.
	Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error
	// Revocations returns the revocations that were stored at since or later, and the next
	// value for since, so that none is missed. Some may be returned again.
	Revocations(ctx context.Context, since time.Time) (list []Revocation, next time.Time, err error)
	// Forget removes revocations that are older than age.
	Forget(ctx context.Context, age time.Duration) error
	// Conceal replaces a user's id in their revocation by the pseudonym.
	Conceal(ctx context.Context, userID string) error
	// Pseudonym returns a user's pseudonym, without I/O.
	Pseudonym(userID string) (string, error)
}

// PseudonymPrefix is the first character of each pseudonym, a control character.
const PseudonymPrefix = "\x01"

// Revocations knows the revoked tokens. It keeps all revocations in memory, so that
// checking a token needs no I/O. It reads new ones from the store twice a second. It is
// safe for concurrent use.
type Revocations struct {
	store RevocationStore
	keep  time.Duration
	log   *slog.Logger
	asks  *tasks.Group

	mu       sync.RWMutex
	revoked  map[string]Revocation // by user id or pseudonym
	hidden   int                   // number of revocations with a pseudonym
	next     time.Time             // next since for the store; used by Start, and then by the reading goroutine only
	watchers []func(Revocation)
}

// NewRevocations returns revocations that are kept for cfg.RevocationKeep.
func NewRevocations(cfg Config, store RevocationStore, log *slog.Logger) *Revocations {
	return &Revocations{
		store: store, keep: cfg.WithDefaults().RevocationKeep, log: log, asks: tasks.New(),
		revoked: make(map[string]Revocation),
	}
}

// OnRevoked registers fn, which is called with each new revocation from any node. fn must
// not block. Call OnRevoked before Start.
func (r *Revocations) OnRevoked(fn func(Revocation)) { r.watchers = append(r.watchers, fn) }

// Start reads all revocations. It fails if it cannot read them, because a node without them
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

// Stop stops reading, and waits for the end until ctx ends.
func (r *Revocations) Stop(ctx context.Context) error { return r.asks.Stop(ctx) }

// Guard returns a function that calls verify and refuses revoked tokens.
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

// Revoke refuses the tokens of a user that were issued before a time: on this node at once,
// and on other nodes within a second. It returns fault.ErrUnavailable if this cannot be
// stored. The entries are stored if the revocation changes something.
func (r *Revocations) Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error {
	if err := r.store.Revoke(ctx, userID, before, entries...); err != nil {
		return err
	}
	r.apply(Revocation{UserID: userID, Before: before, At: time.Now()})
	return nil
}

// Conceal removes a user's id from the store, but keeps their tokens refused. It returns
// fault.ErrUnavailable if this cannot be stored.
func (r *Revocations) Conceal(ctx context.Context, userID string) error {
	return r.store.Conceal(ctx, userID)
}

// ask reads new revocations from the store.
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

// apply records a new revocation and tells the watchers.
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

// forget removes revocations that are older than the configured age.
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
