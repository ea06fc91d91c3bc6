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

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// ReceiptAge is how long an idempotency key protects against repeats.
const ReceiptAge = 24 * time.Hour

// Receipt is the answer that a user got under an idempotency key. It is committed together
// with its change. Request proves that a repeat is the same request, so the receipt leaves
// out data that the request contains. The receipt of an invite contains the invite's code.
type Receipt struct {
	UserID  string
	Key     string
	Request string // hash of the request
	Answer  json.RawMessage
}

// ErrReceipted is returned by a store if the user's key has a receipt that is not older
// than [ReceiptAge].
var ErrReceipted = errors.New("the idempotency key was used before")

// Receipts is the part of a [Repository] that keeps receipts.
type Receipts interface {
	// Receipt returns the receipt for a user's key. It returns nil if there is none or it
	// is older than [ReceiptAge].
	Receipt(ctx context.Context, userID, key string) (*Receipt, error)
	// Keep stores a receipt without a change, together with the audit entries. It returns
	// ErrReceipted like [ReceiptTx].
	Keep(ctx context.Context, r Receipt, recorded ...audit.Entry) error
}

// ReceiptTx is the part of a [Tx] that keeps the receipt of the change.
type ReceiptTx interface {
	// Keep stores a receipt. It returns ErrReceipted if the user's key has one that is not
	// older than [ReceiptAge].
	Keep(ctx context.Context, r Receipt) error
}

type keyContext struct{}

// WithKey returns a context for one call of a [Service] method that changes something,
// under an idempotency key. An empty key means no key.
//
// The service carries out the user's first call under the key. For [ReceiptAge], every
// other call under the key, on any node, returns the first answer, as long as the user
// still has the permission. If the first call was an update that changed nothing, later
// calls return the current group. A different request under the same key returns
// ErrIdempotencyMismatch. A call that fails leaves the key unused.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyContext{}, key)
}

// asked describes a call, so that a repeat of it can be recognised and answered.
type asked struct {
	what   string // the operation and its object
	with   any    // the rest of the request
	answer any    // pointer to the result; nil if the call returns only an error

	about *inquiry // question for the back end, if any
}

// receipt returns a receipt with the current answer, or nil if ctx has no key. It encodes
// the request, so call it before a transaction begins.
func (a asked) receipt(ctx context.Context, caller auth.Identity) (*Receipt, error) {
	key, _ := ctx.Value(keyContext{}).(string)
	if key == "" {
		return nil, nil //nolint:nilnil // no key, no receipt
	}
	if mistake := dto.CheckKey(key); mistake != "" {
		return nil, fault.Validation(fault.Field{Field: "key", Message: mistake})
	}
	asks := []any{a.what, a.with}
	if caller.Admin { // a user with the same id must not get the back end's answer
		asks = append(asks, "back end")
	}
	request, err := json.Marshal(asks)
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

// lowers reports whether err may be a consequence of the first call. For example, after a
// transfer the caller may not transfer the group again, but must still get the first
// answer.
func (asked) lowers(a action, err error) bool {
	return a == actTransfer && errors.Is(err, fault.ErrForbidden)
}

// forbidden reports whether err refuses the caller rather than the request.
func forbidden(err error) bool { return fault.From(err).Kind == fault.Forbidden }

// keep stores the receipt, if it is not nil, with the answer of the change.
func (a asked) keep(ctx context.Context, tx ReceiptTx, receipt *Receipt) error {
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

// settle turns the error of a repeated call into the first answer under its key. If there
// was no first call, it returns err. r is the call's receipt.
//
// A repeated change always fails, because its receipt cannot be stored twice. Reading the
// first answer only after a failure costs first calls nothing, and it also finds the answer
// of a concurrent call.
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

// claim stores the receipt, if it is not nil, and then runs do, which cannot fail and has
// no transaction. Of two concurrent calls under one key, only one runs do.
func (s *Service) claim(ctx context.Context, caller auth.Identity, a asked, r *Receipt, do func()) error {
	if r != nil {
		if err := s.chargeChange(caller); err != nil {
			return err
		}
		if err := s.repo.Keep(ctx, *r); err != nil {
			return s.settle(ctx, r, a, err)
		}
	}
	do()
	return nil
}

// repeatable runs do, which has no transaction, and then stores the receipt and the audit
// entries. Two concurrent calls may both run do.
func (s *Service) repeatable(ctx context.Context, caller auth.Identity, a asked, do func() error, recorded ...audit.Entry) error {
	r, err := a.receipt(ctx, caller)
	if err != nil {
		return err
	}
	if r == nil {
		if err := do(); err != nil {
			return err
		}
		for _, e := range recorded {
			if err := s.repo.Record(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.settle(ctx, r, a, errFirst); !errors.Is(err, errFirst) {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return s.settle(ctx, r, a, s.repo.Keep(ctx, *r, recorded...))
}

var errFirst = errors.New("this is the first call under the key")
