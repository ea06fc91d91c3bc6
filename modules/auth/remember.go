package auth

import (
	"context"
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// rememberFor is how long a valid token is not verified again.
	rememberFor = 10 * time.Second
	// maxRemembered is the maximum number of remembered tokens.
	maxRemembered = 4096
)

// Remembered verifies each token at most once in ten seconds, because verifying costs more
// than most requests. It remembers only valid tokens, by their hash, and at most until they
// expire. It is safe for concurrent use.
type Remembered struct {
	verify func(ctx context.Context, token string) (Identity, error)
	now    func() time.Time
	valid  *otter.Cache[[sha256.Size]byte, verified]
	keys   atomic.Int64 // number of calls of Forget
}

type verified struct {
	identity Identity
	until    time.Time
	keys     int64 // Remembered.keys before the token was verified
}

// Remember returns a Remembered for verify, such as [Verifier.Verify].
func Remember(verify func(ctx context.Context, token string) (Identity, error)) *Remembered {
	valid := otter.Must(&otter.Options[[sha256.Size]byte, verified]{MaximumSize: maxRemembered})
	valid.StopAllGoroutines() // entries need not expire in the background
	return &Remembered{verify: verify, now: time.Now, valid: valid}
}

// Verify returns the identity of a token, or the error of the verify function.
func (r *Remembered) Verify(ctx context.Context, token string) (Identity, error) {
	key := sha256.Sum256([]byte(token))
	now, keys := r.now(), r.keys.Load()
	if v, ok := r.valid.GetIfPresent(key); ok && v.keys == keys && now.Before(v.until) && now.Before(v.identity.Expires) {
		return v.identity, nil
	}
	identity, err := r.verify(ctx, token)
	if err == nil {
		r.valid.Set(key, verified{identity: identity, until: now.Add(rememberFor), keys: keys})
	}
	return identity, err
}

// Forget forgets all tokens, because the keys have changed.
func (r *Remembered) Forget() { r.keys.Add(1) }
