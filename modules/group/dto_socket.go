package group

import (
	"context"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/fault"
)

// NoFields is the body of socket requests that have none besides the group.
type NoFields struct{ intake }

func (*NoFields) read(*body) {}

// InGroup is a socket request: an HTTP body with the group's id beside it.
type InGroup[T any] struct {
	GroupID string
	Body    T
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: see Check and the
// body's own validation.
func (r *InGroup[T]) UnmarshalJSON(data []byte) error {
	receive(data, &r.Body, func(b *body) { b.groupID(&r.GroupID) })
	return nil
}

// Changing is a socket request that changes a group, or makes one: an HTTP body
// with an idempotency key beside it.
type Changing[T any] struct {
	Key  string
	Body T
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: see the body's
// own validation.
func (r *Changing[T]) UnmarshalJSON(data []byte) error {
	receive(data, &r.Body, func(b *body) { b.key(&r.Key) })
	return nil
}

// Once returns the context for the service.
func (r *Changing[T]) Once(ctx context.Context) context.Context { return WithOptionalKey(ctx, r.Key) }

// ChangingIn is a socket request that changes the group that it names.
type ChangingIn[T any] struct {
	GroupID string
	Changing[T]
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: see Check and the
// body's own validation.
func (r *ChangingIn[T]) UnmarshalJSON(data []byte) error {
	receive(data, &r.Body, func(b *body) {
		b.groupID(&r.GroupID)
		b.key(&r.Key)
	})
	return nil
}

func (b *body) groupID(dst *string) {
	b.take("groupId", dst, "a string")
	if *dst == "" {
		b.mistakes.add("groupId", "is required")
	}
}

func (b *body) key(dst *string) {
	if raw := b.fields["key"]; raw == nil || rawjson.IsNull(raw) {
		delete(b.fields, "key")
		return
	}
	b.take("key", dst, "a string")
	if mistake := CheckKey(*dst); mistake != "" {
		b.mistakes.add("key", "%s", mistake)
	}
}

// receive reads what is beside the body, and then the body.
func receive(data []byte, dst any, beside func(*body)) {
	req, ok := dst.(interface {
		bodyReader
		keep(mistakes)
	})
	if !ok {
		return
	}
	b := openBody(data)
	beside(b)
	req.read(b)
	req.keep(b.close())
}

// SubscribeRequest is what a socket sends to follow a group.
type SubscribeRequest struct {
	Since    *int64
	Presence bool

	intake
}

func (r *SubscribeRequest) read(b *body) {
	b.take("since", &r.Since, "a whole number")
	b.take("presence", &r.Presence, "true or false")
	if r.Since != nil && *r.Since < 0 {
		b.mistakes.add("since", "must not be negative")
	}
}

// Check reports the mistakes of a request that no service method validates.
func (i *intake) Check() error {
	if !i.received {
		return fault.Validation(fault.Field{Field: "groupId", Message: "is required"})
	}
	return i.mistakes.err()
}
