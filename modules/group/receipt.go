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

// ReceiptAge is for how long an idempotency key makes a repeat harmless.
const ReceiptAge = 24 * time.Hour

// Receipt is the answer that a user got under an idempotency key. It is
// committed together with its change. It leaves out what a repeat of the request
// brings again, because Request proves that it is the same. The receipt of an invite
// holds the invite's code.
type Receipt struct {
	UserID  string
	Key     string
	Request string // the same for the same request
	Answer  json.RawMessage
}

// ErrReceipted is returned by a store when the user's key has a receipt that is
// not older than [ReceiptAge].
var ErrReceipted = errors.New("the idempotency key was used before")

// Receipts is the part of a [Repository] that keeps receipts.
type Receipts interface {
	// Receipt returns the receipt for a user's key, nil when there is none or
	// it is older than [ReceiptAge].
	Receipt(ctx context.Context, userID, key string) (*Receipt, error)
	// Keep stores a receipt that belongs to no change, and with it the audit entries. It
	// returns ErrReceipted as [ReceiptTx] does.
	Keep(ctx context.Context, r Receipt, recorded ...audit.Entry) error
}

// ReceiptTx is the part of a [Tx] that keeps the receipt of the change.
type ReceiptTx interface {
	// Keep stores a receipt. It returns ErrReceipted when the user's key has one
	// that is not older than [ReceiptAge].
	Keep(ctx context.Context, r Receipt) error
}

type keyContext struct{}

// WithKey returns a context for one call of a [Service] method that changes
// something, under an idempotency key. An empty key is no key.
//
// The service carries out the user's first call under the key. For [ReceiptAge]
// every other call under it, on any node, returns the first answer, as long as the
// user is allowed to do the same; if the first call
// was an update that changed nothing, the group as it is. A call that asks for
// something else under the key returns ErrIdempotencyMismatch. A call that fails
// leaves the key unused.
func WithKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyContext{}, key)
}

// asked describes a call, so that a repeat of it is recognized and answered.
type asked struct {
	what   string // the operation and its subject
	with   any    // the rest of the request
	answer any    // a pointer to the result; nil: the call returns an error alone

	about *inquiry // what a back end is asked first
}

// receipt returns a receipt with the answer as it is now, or nil when ctx has no
// key. It encodes the request, so call it before a transaction begins.
func (a asked) receipt(ctx context.Context, caller auth.Identity) (*Receipt, error) {
	key, _ := ctx.Value(keyContext{}).(string)
	if key == "" {
		return nil, nil //nolint:nilnil // no key, no receipt
	}
	if mistake := dto.CheckKey(key); mistake != "" {
		return nil, fault.Validation(fault.Field{Field: "key", Message: mistake})
	}
	asks := []any{a.what, a.with}
	if caller.Admin { // a user with the same id must not get a back end's answer
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

// lowers reports whether err may be because the first call was carried out: who hands a
// group over may not hand it over again, but still gets the answer.
func (asked) lowers(a action, err error) bool {
	return a == actTransfer && errors.Is(err, fault.ErrForbidden)
}

// forbidden reports whether err refuses the caller, and not what they ask for.
func forbidden(err error) bool { return fault.From(err).Kind == fault.Forbidden }

// keep stores the receipt, unless it is nil, with the answer of the change.
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

// settle turns the failure of a repeated call into the answer of the first call
// under its key. Without a first call it returns err. r is the call's receipt.
//
// A repeated change always fails, because its receipt cannot be stored twice.
// Looking for the first answer afterwards costs first calls nothing, and also
// finds a concurrent call that was quicker.
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

// claim stores the receipt, unless it is nil, and then runs do, which cannot fail and
// belongs to no transaction. Of two concurrent calls under one key, one runs do.
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

// repeatable runs do, which belongs to no transaction, and then stores the
// receipt and the audit entries. Two concurrent calls may both run do.
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
