package auth

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// rememberFor is how long a good token is not verified again: a key that
	// its issuer withdraws is good for as long.
	rememberFor = 30 * time.Second
	// maxRemembered is how many tokens are remembered.
	maxRemembered = 4096
)

// Remembered verifies the tokens that come with every request once in half a
// minute: checking a signature and decoding claims cost more than most of what
// is asked for. Only good tokens are remembered, by their hash, and never past
// their exp. It is safe for concurrent use.
type Remembered struct {
	verify func(ctx context.Context, token string) (Identity, error)
	now    func() time.Time
	good   *otter.Cache[[sha256.Size]byte, verified]
}

type verified struct {
	identity Identity
	until    time.Time
}

// Remember returns what verify returns, which [Verifier.Verify] is meant to be.
func Remember(verify func(ctx context.Context, token string) (Identity, error)) *Remembered {
	good := otter.Must(&otter.Options[[sha256.Size]byte, verified]{MaximumSize: maxRemembered})
	good.StopAllGoroutines() // nothing expires in the background
	return &Remembered{verify: verify, now: time.Now, good: good}
}

// Verify returns whom a token speaks for, or the error of verifying it.
func (r *Remembered) Verify(ctx context.Context, token string) (Identity, error) {
	key := sha256.Sum256([]byte(token))
	now := r.now()
	if v, ok := r.good.GetIfPresent(key); ok && now.Before(v.until) && now.Before(v.identity.Expires) {
		return v.identity, nil
	}
	identity, err := r.verify(ctx, token)
	if err == nil {
		r.good.Set(key, verified{identity: identity, until: now.Add(rememberFor)})
	}
	return identity, err
}
