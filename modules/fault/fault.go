// Package fault defines the errors that a client may see. Each has a kind, which
// determines the HTTP status, a stable code, which programs test for, and a
// message for people. All other errors are internal: the server logs them in
// full, and the client sees [ErrInternal].
//
// The package knows no transport. Package web maps kinds to HTTP statuses, and
// package socket puts codes into acknowledgements.
package fault

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kind is the kind of an [Error].
type Kind int

// The kinds.
const (
	Internal        Kind = iota // the server failed
	BadRequest                  // the request could not be decoded
	Invalid                     // the request breaks a rule
	Unauthenticated             // the request has no valid token
	Forbidden                   // the user is not allowed to do this
	NotFound                    // the resource does not exist, or the user may not see it
	Gone                        // the resource existed once
	Conflict                    // the current state does not allow the change
	Precondition                // the resource changed after the client read it
	TooLarge                    // the request is too large
	RateLimited                 // there are too many requests
	Unavailable                 // a dependency is down; a retry may succeed
)

// Error is an error that a client may see. Do not modify it: the With methods
// return copies.
type Error struct {
	Kind    Kind
	Code    string // stable, snake_case
	Message string
	Fields  []Field       // the mistakes, for kind Invalid
	Retry   time.Duration // time until the next try; 0 if unknown
	Reason  string        // the application's own code, for [ErrRefused]
	cause   error
}

// Field is one mistake in a request.
type Field struct {
	Field   string `json:"field" doc:"dotted path of the invalid value" example:"name"`
	Message string `json:"message" example:"is required"`
}

// New returns an error of the given kind with a stable code.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Limits that keep responses small for any request.
const (
	MaxFields = 50  // maximum number of mistakes in an [Error]
	maxText   = 256 // maximum size of a field's path and of a message, in bytes
)

// Validation returns an error with the mistakes in a request. If there are more
// than [MaxFields], it contains the first ones, and the message says so.
func Validation(fields ...Field) *Error {
	e := New(Invalid, "validation_failed", "the request breaks a rule; see errors")
	if len(fields) > MaxFields {
		fields = fields[:MaxFields]
		e.Message = fmt.Sprintf("the request breaks more rules than errors lists, which are the first %d", MaxFields)
	}
	for _, f := range fields {
		e.Fields = append(e.Fields, Field{Field: shorten(f.Field), Message: shorten(f.Message)})
	}
	return e
}

// shorten cuts a text that is longer than maxText, between two characters.
func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Error implements error.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Message + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Message
}

// Is makes errors.Is compare codes, so that copies with another message or cause
// match.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// Unwrap returns the cause from [Error.WithCause], or nil.
func (e *Error) Unwrap() error { return e.cause }

// WithMessage returns a copy with a more precise message.
func (e *Error) WithMessage(message string) *Error {
	c := *e
	c.Message = message
	return &c
}

// RetryAfter returns the time until the next try in whole seconds, at least one.
func (e *Error) RetryAfter() int { return max(1, int((e.Retry+time.Second-1)/time.Second)) }

// WithReason returns a copy with the application's own code.
func (e *Error) WithReason(reason string) *Error {
	c := *e
	c.Reason = reason
	return &c
}

// WithRetry returns a copy that says when to try again.
func (e *Error) WithRetry(after time.Duration) *Error {
	c := *e
	c.Retry = after
	return &c
}

// WithCause returns a copy with a cause, which is logged and not sent to clients.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// Errors that belong to no module.
var (
	ErrInternal     = New(Internal, "internal", "internal error")
	ErrBadRequest   = New(BadRequest, "bad_request", "the request could not be read")
	ErrUnauthorized = New(Unauthenticated, "unauthenticated", "a valid token is needed: send Authorization: Bearer <token>")
	ErrRefused      = New(Forbidden, "refused", "the application does not allow this")
	ErrForbidden    = New(Forbidden, "forbidden", "you are not allowed to do this")
	ErrNotFound     = New(NotFound, "not_found", "there is no such thing, or not for you")
	ErrTooLarge     = New(TooLarge, "payload_too_large", "the request is too large")
	ErrRateLimited  = &Error{Kind: RateLimited, Code: "rate_limited", Message: "there were too many requests: try again later", Retry: time.Second}
	ErrUnavailable  = &Error{Kind: Unavailable, Code: "unavailable", Message: "a dependency is down; try again", Retry: 2 * time.Second}
)

// From returns the [Error] in err's chain, or else [ErrInternal] with err as its
// cause.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return ErrInternal.WithCause(err)
}
