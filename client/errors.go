package client

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is an error answer of the server.
type Error struct {
	Status    int     `json:"status"`    // status of the HTTP response
	Code      string  `json:"code"`      // stable, such as group_full; docs/errors.md lists all
	Detail    string  `json:"detail"`    // for people
	Reason    string  `json:"reason"`    // the application's own code, if Code is refused
	Errors    []Field `json:"errors"`    // mistakes in single fields
	RequestID string  `json:"requestId"` // id of the request in the server's log

	RetryAfter time.Duration `json:"-"` // time until a repeat may succeed; 0 if unknown
}

// Field is a mistake in one field of a request.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "moim: %s (%d %s)", e.Detail, e.Status, strings.TrimSpace(e.Code+" "+e.Reason))
	for _, f := range e.Errors {
		fmt.Fprintf(&b, "; %s %s", f.Field, f.Message)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, "; request %s", e.RequestID)
	}
	return b.String()
}

// Code returns the code of an [Error], or "" for other errors.
func Code(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
