package group

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// ReceiptAge is for how long an idempotency key makes a repeat harmless.
const ReceiptAge = 24 * time.Hour

// maxKey bounds an idempotency key, in bytes.
const maxKey = 255

// Receipt is the answer to what a user asked for under an idempotency key, as it
// was given: an invite's code is in it, for as long as receipts are kept. It is
// committed with the change that it tells of.
type Receipt struct {
	UserID  string
	Key     string
	Request string // the same for the same request
	Answer  json.RawMessage
}

// ErrReceipted is what a store answers when the user's key has a receipt that
// is not older than [ReceiptAge].
var ErrReceipted = errors.New("the idempotency key was used before")

// Receipts is the part of a [Repository] that keeps receipts.
type Receipts interface {
	// Receipt returns the receipt for a user's key, nil when there is none or
	// it is older than [ReceiptAge].
	Receipt(ctx context.Context, userID, key string) (*Receipt, error)
	// Keep keeps a receipt that belongs to no change. Like [Tx.Keep] it
	// returns ErrReceipted when there is one.
	Keep(ctx context.Context, r Receipt) error
}

type keyContext struct{}

// WithKey returns a context for one call of a [Service] method that changes
// something: the first call that a user makes under a key is carried out, and
// every other one within [ReceiptAge] returns what the first one returned,
// also at another node. A call that asks for something else under the key
// returns ErrIdempotencyMismatch. Nothing is kept of a call that failed.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyContext{}, key)
}

// WithOptionalKey is WithKey where an empty key is none.
func WithOptionalKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return WithKey(ctx, key)
}

func keyOf(ctx context.Context) (string, bool) {
	key, ok := ctx.Value(keyContext{}).(string)
	return key, ok
}

// CheckKey says what is wrong with an idempotency key, if anything is.
func CheckKey(key string) string {
	if validID(key, maxKey) {
		return ""
	}
	return fmt.Sprintf("must have 1 to %d bytes without control characters", maxKey)
}

// asked is what a caller asks for, as far as a repeat of it is concerned.
type asked struct {
	what   string // the operation and what it is about
	with   any    // the rest of the request
	answer any    // a pointer to what is returned beside the error; nil: nothing
}

// receipt returns the receipt for the answer as it is now; nil when the caller
// gave no key. It encodes the request: call it before a transaction begins.
func (a asked) receipt(ctx context.Context, caller auth.Identity) (*Receipt, error) {
	key, ok := keyOf(ctx)
	if !ok {
		return nil, nil //nolint:nilnil // no key, no receipt
	}
	if mistake := CheckKey(key); mistake != "" {
		return nil, fault.Validation(fault.Field{Field: "key", Message: mistake})
	}
	request, err := json.Marshal([]any{a.what, a.with})
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	answer, err := rawjson.Marshal(a.answer)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	sum := sha256.Sum256(request)
	return &Receipt{UserID: caller.UserID, Key: key, Request: hex.EncodeToString(sum[:]), Answer: answer}, nil
}

// keep keeps the receipt, unless it is nil, in the change's own transaction,
// with the answer that the change has found.
func (a asked) keep(ctx context.Context, tx Tx, receipt *Receipt) error {
	if receipt == nil {
		return nil
	}
	answer, err := rawjson.Marshal(a.answer)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	kept := *receipt
	kept.Answer = answer
	return tx.Keep(ctx, kept)
}

// settle returns how a call ended that failed with err: as the first one under
// its key did, if there was one. r is the call's receipt. Looking afterwards
// costs a call that is the first nothing, and also finds the twin that was
// quicker: a call that repeats a change never commits.
func (s *Service) settle(ctx context.Context, r *Receipt, a asked, err error) error {
	if err == nil || r == nil {
		return err
	}
	first, failed := s.repo.Receipt(ctx, r.UserID, r.Key)
	switch {
	case failed != nil || first == nil:
		return err
	case first.Request != r.Request:
		return ErrIdempotencyMismatch
	case a.answer == nil:
		return nil
	}
	reflect.ValueOf(a.answer).Elem().SetZero()
	if err := json.Unmarshal(first.Answer, a.answer); err != nil {
		return fmt.Errorf("decode the first answer: %w", err)
	}
	return nil
}

// claim keeps the receipt first and then carries out what no transaction holds
// and what does not fail, so that twins are not both carried out.
func (s *Service) claim(ctx context.Context, caller auth.Identity, a asked, do func()) error {
	r, err := a.receipt(ctx, caller)
	if err != nil {
		return err
	}
	if r != nil {
		if err := s.repo.Keep(ctx, *r); err != nil {
			return s.settle(ctx, r, a, err)
		}
	}
	do()
	return nil
}

// Repeatable carries out, once for an idempotency key, what is no change of a
// group; what names it. Two calls at the same time may both carry it out.
func (s *Service) Repeatable(ctx context.Context, caller auth.Identity, what string, do func() error) error {
	return s.repeatable(ctx, caller, asked{what: what}, do)
}

// repeatable carries out what no transaction holds and what does no harm when
// twins do it both, and then keeps the receipt.
func (s *Service) repeatable(ctx context.Context, caller auth.Identity, a asked, do func() error) error {
	r, err := a.receipt(ctx, caller)
	switch {
	case err != nil:
		return err
	case r == nil:
		return do()
	}
	if err := s.settle(ctx, r, a, errFirst); !errors.Is(err, errFirst) {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.settle(ctx, r, a, s.repo.Keep(ctx, *r))
}

var errFirst = errors.New("nothing was asked for under this key before")
