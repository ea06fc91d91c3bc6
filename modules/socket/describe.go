package socket

import (
	"reflect"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// Event describes an event in the documents: one that clients send and the server answers,
// or one that the server sends.
type Event struct {
	Name   string
	About  string       // its purpose, in one line
	Data   reflect.Type // type of the argument
	Answer reflect.Type // nil if it is not answered

	PlainOnly bool // it is not sent over Socket.IO
	Program   bool // it belongs to the program, not to a module
}

// Describe returns h with a line for the documents. h must be from [On].
func (h Handler) Describe(about string) Handler {
	h.about.About = about
	return h
}

// Events returns the events of the main namespace that have [On] handlers, sorted by name.
func (g *Gateway) Events() []Event {
	var events []Event
	for _, h := range g.namespaces[mainNamespace].events {
		if h.typed == nil {
			continue
		}
		h.about.Program = h.owner == nil
		events = append(events, h.about)
	}
	slices.SortFunc(events, func(a, b Event) int { return strings.Compare(a.Name, b.Name) })
	return events
}

// Pushes returns the events that every gateway sends on its own.
func (*Gateway) Pushes() []Event {
	return []Event{{
		Name: eventReconnect, About: "The node is shutting down: reconnect after this time, to any node", PlainOnly: true,
		Data: reflect.TypeFor[reconnect](),
	}}
}

// reconnect is the data of socket:reconnect.
type reconnect struct {
	After int64 `json:"after" doc:"milliseconds" example:"1800"`
}

// Failure is the error in an answer.
type Failure struct {
	Code       string        `json:"code" doc:"stable error code for programs" example:"not_found"`
	Message    string        `json:"message" doc:"explanation for people"`
	Reason     string        `json:"reason,omitempty" doc:"code of the application's back end, if code is refused" example:"over_quota"`
	Errors     []fault.Field `json:"errors,omitempty" doc:"mistakes in single fields"`
	RetryAfter int           `json:"retryAfter,omitempty" doc:"when to try again, in seconds"`
}

// UnknownEvent is the code of the answer to an event that has no handler.
const UnknownEvent = "unknown_event"
