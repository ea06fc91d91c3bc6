package group

import (
	"context"

	"github.com/moim-live/moim/modules/fault"
)

// noFields is the body of socket requests that have none besides the group.
type noFields struct{ intake }

func (*noFields) read(*body) {}

// inGroup is a socket request: an HTTP body with the group's id beside it.
type inGroup[T any] struct {
	GroupID string
	Body    T
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: see check and the
// body's own validation.
func (r *inGroup[T]) UnmarshalJSON(data []byte) error {
	receive(data, &r.Body, func(b *body) { b.groupID(&r.GroupID) })
	return nil
}

// changing is a socket request that changes a group, or makes one: an HTTP body
// with an idempotency key beside it.
type changing[T any] struct {
	Key  string
	Body T
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: see the body's
// own validation.
func (r *changing[T]) UnmarshalJSON(data []byte) error {
	receive(data, &r.Body, func(b *body) { b.key(&r.Key) })
	return nil
}

// once returns the context for the service.
func (r *changing[T]) once(ctx context.Context) context.Context { return withKey(ctx, r.Key) }

// changingIn is a socket request that changes the group that it names.
type changingIn[T any] struct {
	GroupID string
	changing[T]
}

// UnmarshalJSON implements json.Unmarshaler. It never fails: see check and the
// body's own validation.
func (r *changingIn[T]) UnmarshalJSON(data []byte) error {
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
	if raw := b.fields["key"]; raw == nil || isNull(raw) {
		delete(b.fields, "key")
		return
	}
	b.take("key", dst, "a string")
	if mistake := badKey(*dst); mistake != "" {
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

// subscribeRequest is what a socket sends to follow a group.
type subscribeRequest struct {
	Since    *int64
	Presence bool

	intake
}

func (r *subscribeRequest) read(b *body) {
	b.take("since", &r.Since, "a whole number")
	b.take("presence", &r.Presence, "true or false")
	if r.Since != nil && *r.Since < 0 {
		b.mistakes.add("since", "must not be negative")
	}
}

// subscribeAnswer is what it gets.
type subscribeAnswer struct {
	Group    Group            `json:"group"`
	Version  int64            `json:"version"`
	Presence *PresenceSummary `json:"presence"`
	Snapshot bool             `json:"snapshot,omitempty"`
}

// check reports the mistakes of a request that no service method validates.
func (i *intake) check() error {
	if !i.received {
		return fault.Validation(fault.Field{Field: "groupId", Message: "is required"})
	}
	return i.mistakes.err()
}
