package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/fault"
)

// refusalEvery is the minimum time between two log lines about refused tokens, and between
// two warnings about a dependency that is down. The packages that use the dependency log
// more.
const refusalEvery = time.Minute

// statuses maps kinds of fault to HTTP statuses.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.BadRequest:      http.StatusBadRequest,
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Gone:            http.StatusGone,
	fault.Conflict:        http.StatusConflict,
	fault.Precondition:    http.StatusPreconditionFailed,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// Status returns the HTTP status of a kind of fault.
func Status(kind fault.Kind) int {
	if status, ok := statuses[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Problem is the body of an error response: problem details (RFC 9457) with a
// stable code.
type Problem struct {
	Type   string        `json:"type" doc:"always about:blank; use code instead" example:"about:blank"`
	Title  string        `json:"title" doc:"text of the status" example:"Not Found"`
	Status int           `json:"status" example:"404"`
	Detail string        `json:"detail" doc:"explanation for people"`
	Code   string        `json:"code" doc:"stable error code for programs" example:"not_found"`
	Reason string        `json:"reason,omitempty" doc:"code of the application's back end, if code is refused" example:"over_quota"`
	Errors []fault.Field `json:"errors,omitempty" doc:"mistakes in single fields"`

	RequestID string `json:"requestId,omitempty" doc:"id of the request in the node's log; also in the header X-Request-Id" example:"4bf92f3577b34da6a3ce929d0e0e4736"`

	header http.Header
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// newProblem converts a fault to a problem, for the request of ctx. It leaves out the
// cause.
func newProblem(ctx context.Context, e *fault.Error) *Problem {
	status := Status(e.Kind)
	p := &Problem{
		Type:   "about:blank",
		Title:  http.StatusText(status),
		Status: status,
		Detail: e.Message,
		Code:   e.Code,
		Reason: e.Reason,
		Errors: e.Fields,
		header: http.Header{},

		RequestID: requestid.From(ctx),
	}
	switch e.Kind {
	case fault.Unauthenticated:
		p.header.Set("WWW-Authenticate", `Bearer realm="moim"`)
	case fault.RateLimited, fault.Unavailable:
		p.header.Set("Retry-After", strconv.Itoa(e.RetryAfter()))
	}
	return p
}

// problem returns the problem for an error of a handler. It logs the details that the
// client does not get.
func (a *API) problem(ctx context.Context, route string, err error) *Problem {
	e := fault.From(err)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		a.log.DebugContext(ctx, "web: the client canceled a request", "route", route)
	case e.Kind == fault.Internal:
		a.log.ErrorContext(ctx, "web: a request failed", "route", route, "err", err)
	case e.Unwrap() != nil:
		level := slog.LevelDebug
		if e.Kind == fault.Unavailable && a.warned.May(refusalEvery) {
			level = slog.LevelWarn
		}
		a.log.Log(ctx, level, "web: a request was refused", "route", route, "code", e.Code, "err", err)
	}
	if e.Kind == fault.Internal {
		e = fault.ErrInternal
	}
	return newProblem(ctx, e)
}

// fail responds with a problem, without huma, and aborts the request.
func (a *API) fail(c *gin.Context, err error) {
	p := a.problem(c.Request.Context(), c.Request.Method+" "+c.FullPath(), err)
	p.write(c)
	c.Abort()
}

func (p *Problem) write(c *gin.Context) {
	for name, values := range p.header {
		c.Writer.Header()[name] = values
	}
	c.Header("Content-Type", p.ContentType("")) // gin does not replace a content type that is already set
	body, err := json.Marshal(p)
	if err != nil { // impossible with strings and ints
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(p.Status, p.ContentType(""), append(body, '\n'))
}

// translate replaces huma's own errors by problems. huma has already set the status, so
// translate passes the correct one through the exchange.
func (a *API) translate(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(ctx.Context(), fromHuma(ctx.Operation(), m))
	if x, ok := ctx.Context().Value(exchangeKey{}).(*exchange); ok {
		x.override = p.Status
	}
	return p, nil
}

func fromHuma(op *huma.Operation, m *huma.ErrorModel) *fault.Error {
	if e := unreadable(m.Errors); e != nil {
		return e // huma's status depends on SkipValidateBody
	}
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		return tooLarge(op)
	case http.StatusRequestTimeout:
		return fault.ErrBadRequest.WithMessage("the body did not arrive in time")
	case http.StatusUnprocessableEntity:
		return fault.Validation(fields(m.Errors)...)
	case http.StatusBadRequest:
		return fault.ErrBadRequest.WithMessage("a JSON body is required")
	default: // reading the body failed
		return fault.ErrBadRequest
	}
}

// unreadable returns why the body cannot be decoded, or nil if it can.
func unreadable(details []*huma.ErrorDetail) *fault.Error {
	for _, d := range details {
		if d == nil || d.Location != "body" {
			continue
		}
		if bound, ok := strings.CutPrefix(d.Message, beyondBound); ok {
			return fault.Validation(fault.Field{Field: "body", Message: bound})
		}
		switch {
		case strings.HasPrefix(d.Message, malformed):
			return fault.ErrBadRequest.WithMessage("the body is " + d.Message)
		case strings.HasPrefix(d.Message, huma.ErrUnknownContentType.Error()):
			return fault.ErrBadRequest.WithMessage("the body must be JSON: send Content-Type: application/json")
		}
	}
	return nil
}

func tooLarge(op *huma.Operation) *fault.Error {
	return fault.ErrTooLarge.WithMessage("the body is larger than " + strconv.FormatInt(op.MaxBodyBytes-1, 10) + " bytes")
}

// missing matches huma's message for a missing property.
var missing = regexp.MustCompile(`^expected required property (.*) to be present$`)

// fields returns huma's error details by field, sorted, without the values. It replaces
// huma's locations, such as body.members[3] and query.limit, by the names that clients
// know.
func fields(details []*huma.ErrorDetail) []fault.Field {
	var out []fault.Field
	for _, d := range details {
		if d == nil {
			continue
		}
		f := fault.Field{Field: fieldName(d.Location), Message: d.Message}
		if m := missing.FindStringSubmatch(d.Message); m != nil {
			f = fault.Field{Field: join(f.Field, m[1]), Message: "is required"}
		}
		if name, what, ok := strings.Cut(d.Message, misfit); ok && d.Location == "body" && name != "" {
			f = fault.Field{Field: name, Message: "does not fit: " + what}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b fault.Field) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Message, b.Message))
	})
	return out
}

// fieldName removes the first part of a location, such as body or query.
func fieldName(location string) string {
	i := strings.IndexAny(location, ".[")
	if i >= 0 && location[i] == '[' {
		return location[i:]
	}
	return location[i+1:]
}

func join(parent, name string) string {
	if parent == "" || parent == "body" {
		return name
	}
	return parent + "." + name
}

func (a *API) problemResponse() *huma.Response {
	schemas := a.huma.OpenAPI().Components.Schemas
	return &huma.Response{
		Description: "An error",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemas.Schema(problemType, true, "")},
		},
	}
}

func (a *API) noRoute(c *gin.Context) {
	a.fail(c, fault.ErrNotFound.WithMessage("there is no such route; see /docs"))
}

func (a *API) noMethod(c *gin.Context) {
	p := newProblem(c.Request.Context(), fault.ErrBadRequest.WithMessage("the route does not support this method; see the Allow header"))
	p.Status, p.Title, p.Code = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed), methodNotAllowed
	p.write(c)
	c.Abort()
}

// methodNotAllowed is the code of an answer to a method that a path does not support.
const methodNotAllowed = "method_not_allowed"

var problemType = reflect.TypeFor[Problem]()
