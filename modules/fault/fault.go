// Package fault holds the errors that a client may see: a kind, which decides
// the transport's status, a stable code, which programs test for, and a
// message, which tells a person what to do. Every other error is internal: it
// is logged in full and shown as [Internal].
//
// It knows no transport: package web maps kinds to HTTP statuses, package
// socket puts codes into acknowledgements.
package fault

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kind says what sort of failure an [Error] is.
type Kind int

// The kinds, named for what the caller can do about them.
const (
	Internal        Kind = iota // nothing: the server is at fault
	BadRequest                  // the request could not be read
	Invalid                     // it could be read, and breaks a rule
	Unauthenticated             // come back with a valid token
	Forbidden                   // known, but not allowed
	NotFound                    // it does not exist, or not for this caller
	Gone                        // it existed once
	Conflict                    // the current state stands against it
	Precondition                // it changed since the caller last read it
	TooLarge                    // send less
	RateLimited                 // send later
	Unavailable                 // a dependency is down: try again
)

// Error is a failure that a client may see. Treat it as immutable: the With
// methods return copies.
type Error struct {
	Kind    Kind
	Code    string // stable, snake_case
	Message string
	Fields  []Field       // what is wrong where, for validation failures
	Retry   time.Duration // when to try again; 0 when that is not known
	cause   error
}

// Field is one mistake in a request.
type Field struct {
	Field   string `json:"field"` // dotted path of the offending value
	Message string `json:"message"`
}

// New returns an error of the given kind with a stable code.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Bounds of a validation failure, so that an answer stays small whatever was
// sent.
const (
	MaxFields = 50  // mistakes that it lists
	maxText   = 256 // bytes of a field's path and of a message
)

// Validation reports mistakes in a request, all at once. Above [MaxFields] it
// lists the first ones and says that there are more.
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

// shorten cuts a text that is too long between two characters.
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

// Is makes errors.Is compare by code, so that a copy with another message or
// cause is still the same error.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// Unwrap returns the cause given by [Error.WithCause].
func (e *Error) Unwrap() error { return e.cause }

// WithMessage returns a copy that says something more precise.
func (e *Error) WithMessage(message string) *Error {
	c := *e
	c.Message = message
	return &c
}

// WithCause returns a copy that carries err for the log. Clients never see it.
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
	ErrForbidden    = New(Forbidden, "forbidden", "you are not allowed to do this")
	ErrNotFound     = New(NotFound, "not_found", "there is no such thing, or not for you")
	ErrTooLarge     = New(TooLarge, "payload_too_large", "the request is too large")
	ErrUnavailable  = &Error{Kind: Unavailable, Code: "unavailable", Message: "a dependency is down; try again", Retry: 2 * time.Second}
)

// From returns the [Error] in err's chain, or [ErrInternal] carrying err.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return ErrInternal.WithCause(err)
}
