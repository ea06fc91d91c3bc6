package dto

import (
	"encoding/json"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// MessageRequest posts a message.
type MessageRequest struct {
	Type string          `json:"type,omitempty" doc:"at most 64 characters; default: message"`
	Data json.RawMessage `json:"data" example:"{\"text\":\"I bring the tea\"}" doc:"any JSON value of at most 32 KiB"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *MessageRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *MessageRequest) read(o *object) {
	o.take("type", &r.Type, "a string")
	r.Data, _ = o.raw("data")
}

// Validate returns the request with its defaults, as the store keeps it, or
// validation_failed with all mistakes.
func (r MessageRequest) Validate() (MessageRequest, error) {
	if r.Type == "" {
		r.Type = "message"
	}
	r.Data = r.compact(r.Data)
	m := r.begin()
	m.text("type", r.Type, 1, maxType, "")
	m.data(r.Data, r.reading, true)
	return r, m.err()
}

// EditMessageRequest replaces the data of a message.
type EditMessageRequest struct {
	Data json.RawMessage `json:"data" example:"{\"text\":\"I bring the cake\"}" doc:"the new data: any JSON value of at most 32 KiB"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *EditMessageRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *EditMessageRequest) read(o *object) { r.Data, _ = o.raw("data") }

// Validate returns the request as the store keeps it, or validation_failed with
// all mistakes.
func (r EditMessageRequest) Validate() (EditMessageRequest, error) {
	r.Data = r.compact(r.Data)
	m := r.begin()
	m.data(r.Data, r.reading, true)
	return r, m.err()
}

// SignalRequest sends a signal.
type SignalRequest struct {
	Type string          `json:"type" example:"typing" doc:"1 to 64 characters"`
	Data json.RawMessage `json:"data,omitempty" example:"{\"on\":true}" doc:"any JSON value of at most 32 KiB; default: null"`
	To   []string        `json:"to,omitempty" doc:"recipients, at most 100 user ids; default: all subscribers; an empty list: nobody"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *SignalRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *SignalRequest) read(o *object) {
	o.take("type", &r.Type, "a string")
	r.Data, _ = o.raw("data")
	o.takeList("to", &r.To, maxSignalTargets, "a list of strings")
}

// Validate returns the request with its defaults, as it is sent, or
// validation_failed with all mistakes.
func (r SignalRequest) Validate() (SignalRequest, error) {
	r.Data = r.compact(r.Data)
	m := r.begin()
	m.text("type", r.Type, 1, maxType, "")
	m.data(r.Data, r.reading, false)
	m.userIDs("to", r.To, 0, maxSignalTargets)
	if r.Data == nil {
		r.Data = json.RawMessage("null")
	}
	return r, m.err()
}

// ReadRequest says up to which version a member has read.
type ReadRequest struct {
	Version *int64 `json:"version" example:"13" doc:"version of the last event that the user has read"`
	UserID  string `json:"userId,omitempty" doc:"of a back end: the member on whose behalf it calls"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *ReadRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *ReadRequest) read(o *object) {
	o.take("version", &r.Version, "a whole number")
	o.take("userId", &r.UserID, "a string")
}

// Validate returns validation_failed with all mistakes, or nil.
func (r ReadRequest) Validate() error {
	m := r.begin()
	switch {
	case r.Version == nil:
		m.add("version", "is required")
	case *r.Version < 0:
		m.add("version", "must not be negative")
	}
	if r.UserID != "" {
		m.userID("userId", r.UserID)
	}
	return m.err()
}

// PresenceRequest sets the live state of a member.
type PresenceRequest struct {
	State json.RawMessage `json:"state" format:"object" nullable:"true" example:"{\"mood\":\"cheerful\"}" doc:"JSON object of at most 4 KiB; null clears the state"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *PresenceRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *PresenceRequest) read(o *object) { r.State, _ = o.raw("state") }

// Validate returns the request as presence keeps it, or validation_failed with
// all mistakes.
func (r PresenceRequest) Validate() (PresenceRequest, error) {
	r.State = r.compact(r.State)
	m := r.begin()
	switch {
	case r.State == nil:
		m.add("state", "is required")
	case !rawjson.IsNull(r.State):
		m.object("state", r.State, r.reading, maxState)
	}
	return r, m.err()
}
