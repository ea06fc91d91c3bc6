package group

import "github.com/moim-live/moim/modules/fault"

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
	receive(data, &r.Body, func(b *body) {
		b.take("groupId", &r.GroupID, "a string")
		if r.GroupID == "" {
			b.mistakes.add("groupId", "is required")
		}
	})
	return nil
}

// keyed is a socket request that is an HTTP body as it stands.
type keyed[T any] struct{ Body T }

// UnmarshalJSON implements json.Unmarshaler. It never fails: see the body's
// own validation.
func (r *keyed[T]) UnmarshalJSON(data []byte) error {
	receive(data, &r.Body, func(*body) {})
	return nil
}

// receive reads what every socket request may hold, and then the body.
func receive(data []byte, dst any, first func(*body)) {
	req, ok := dst.(interface {
		bodyReader
		keep(mistakes)
	})
	if !ok {
		return
	}
	b := openBody(data)
	first(b)
	b.refuse(keyNotServed, "key")
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
	Events   []Event          `json:"events"`
	Snapshot bool             `json:"snapshot,omitempty"`
}

// check reports the mistakes of a request that no service method validates.
func (i *intake) check() error {
	if !i.received {
		return fault.Validation(fault.Field{Field: "groupId", Message: "is required"})
	}
	return i.mistakes.err()
}
