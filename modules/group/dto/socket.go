package dto

// NoFields is a socket request that has only a group id.
type NoFields struct{ reading }

func (*NoFields) read(*object) {}

// NoData is a socket request without any fields. Its data may be left out.
type NoData struct{ reading }

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Check reports the mistakes.
func (r *NoData) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (*NoData) read(*object) {}

// Check returns the mistakes of the request.
func (r NoData) Check() error { return r.mistakes.err() }

// InGroup is a socket request: the fields of an HTTP body and the group's id.
type InGroup[T any] struct {
	GroupID string `json:"groupId" doc:"group id" example:"0197c7a2-5f0e-7c31-9d5b-3a1f6c2f7a10"`
	Body    T      `json:",inline"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: the body's Check
// or Validate reports the mistakes.
func (r *InGroup[T]) UnmarshalJSON(data []byte) error {
	fillBeside(data, &r.Body, func(o *object) { o.groupID(&r.GroupID) })
	return nil
}

// Changing is a socket request that changes something: the fields of an HTTP body and an
// optional idempotency key.
type Changing[T any] struct {
	Key  string `json:"key,omitempty" doc:"idempotency key, at most 255 bytes; for 24 hours, a request with the same key returns the first answer"`
	Body T      `json:",inline"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: the body's Check
// or Validate reports the mistakes.
func (r *Changing[T]) UnmarshalJSON(data []byte) error {
	fillBeside(data, &r.Body, func(o *object) { o.key(&r.Key) })
	return nil
}

// ChangingIn is a socket request that changes a group: a Changing with the group's id.
type ChangingIn[T any] struct {
	GroupID string `json:"groupId" doc:"group id" example:"0197c7a2-5f0e-7c31-9d5b-3a1f6c2f7a10"`
	Changing[T]
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: the body's Check
// or Validate reports the mistakes.
func (r *ChangingIn[T]) UnmarshalJSON(data []byte) error {
	fillBeside(data, &r.Body, func(o *object) {
		o.groupID(&r.GroupID)
		o.key(&r.Key)
	})
	return nil
}

// ChangingMessage is a socket request that changes a message: a ChangingIn with the
// message's version.
type ChangingMessage[T any] struct {
	GroupID string `json:"groupId" doc:"group id" example:"0197c7a2-5f0e-7c31-9d5b-3a1f6c2f7a10"`
	Version int64  `json:"version" doc:"version of the event message.posted" example:"13"`
	Changing[T]
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: the body's Check
// or Validate reports the mistakes.
func (r *ChangingMessage[T]) UnmarshalJSON(data []byte) error {
	fillBeside(data, &r.Body, func(o *object) {
		o.groupID(&r.GroupID)
		o.version(&r.Version)
		o.key(&r.Key)
	})
	return nil
}

// fillBeside reads the additional fields, and then the body.
func fillBeside(data []byte, body any, beside func(*object)) {
	req, ok := body.(request)
	if !ok {
		return // every body is a request
	}
	o := openObject(data)
	beside(o)
	req.read(o)
	req.done(o.close())
}

func (o *object) groupID(dst *string) {
	o.take("groupId", dst, "a string")
	if *dst == "" {
		o.mistakes.add("groupId", "is required")
	}
}

func (o *object) version(dst *int64) {
	var version *int64
	if o.take("version", &version, "a whole number"); version == nil {
		o.mistakes.add("version", "is required")
		return
	}
	*dst = *version
}

func (o *object) key(dst *string) {
	if o.fields["key"] == nil || o.isNull("key") {
		delete(o.fields, "key")
		return
	}
	o.take("key", dst, "a string")
	if mistake := CheckKey(*dst); mistake != "" {
		o.mistakes.add("key", "%s", mistake)
	}
}

// SubscribeRequest is a socket's request to follow a group.
type SubscribeRequest struct {
	Since    *int64 `json:"since,omitempty" nullable:"true" minimum:"0" doc:"version of the last event that the client has; missed events follow the answer"`
	Presence bool   `json:"presence,omitempty" doc:"also answer who is present"`

	reading
}

func (r *SubscribeRequest) read(o *object) {
	o.take("since", &r.Since, "a whole number")
	o.take("presence", &r.Presence, "true or false")
	if r.Since != nil && *r.Since < 0 {
		o.mistakes.add("since", "must not be negative")
	}
}
