package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/fault"
)

// warnEvery is how often it is logged that requests are refused because
// something is down.
const warnEvery = time.Minute

// statuses is what each kind of fault is in HTTP.
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

// Problem is an error as the client sees it: RFC 9457 with a stable code.
type Problem struct {
	Type   string        `json:"type" doc:"always about:blank: the code says more" example:"about:blank"`
	Title  string        `json:"title" doc:"the status in words" example:"Not Found"`
	Status int           `json:"status" example:"404"`
	Detail string        `json:"detail" doc:"for people"`
	Code   string        `json:"code" doc:"for programs; stable" example:"not_found"`
	Errors []fault.Field `json:"errors,omitempty" doc:"what is wrong where"`

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

// newProblem shows a fault; its cause stays here.
func newProblem(e *fault.Error) *Problem {
	status, ok := statuses[e.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	p := &Problem{
		Type:   "about:blank",
		Title:  http.StatusText(status),
		Status: status,
		Detail: e.Message,
		Code:   e.Code,
		Errors: e.Fields,
		header: http.Header{},
	}
	switch e.Kind {
	case fault.Unauthenticated:
		p.header.Set("WWW-Authenticate", `Bearer realm="moim"`)
	case fault.RateLimited, fault.Unavailable:
		seconds := max(1, int(math.Ceil(e.Retry.Seconds())))
		p.header.Set("Retry-After", strconv.Itoa(seconds))
	}
	return p
}

// problem translates an error of a handler, and logs what the client will not
// see of it.
func (a *API) problem(ctx context.Context, route string, err error) *Problem {
	e := fault.From(err)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled): // the client is gone
		a.log.Debug("web: a request was given up", "route", route)
	case e.Kind == fault.Internal:
		a.log.Error("web: a request failed", "route", route, "err", err)
	case e.Unwrap() != nil:
		level := slog.LevelDebug
		if e.Kind == fault.Unavailable && a.mayWarn() {
			level = slog.LevelWarn
		}
		a.log.Log(ctx, level, "web: a request was refused", "route", route, "code", e.Code, "err", err)
	}
	if e.Kind == fault.Internal {
		e = fault.ErrInternal
	}
	return newProblem(e)
}

// mayWarn reports whether refusals for want of a dependency may be told of: once
// in a while, for whatever is down is told by who uses it.
func (a *API) mayWarn() bool {
	now, last := time.Now().UnixNano(), a.warned.Load()
	return now-last >= int64(warnEvery) && a.warned.CompareAndSwap(last, now)
}

// fail answers with a problem outside of huma, and ends the request.
func (a *API) fail(c *gin.Context, err error) {
	p := a.problem(c.Request.Context(), c.Request.Method+" "+c.FullPath(), err)
	p.write(c)
	c.Abort()
}

func (p *Problem) write(c *gin.Context) {
	for name, values := range p.header {
		c.Writer.Header()[name] = values
	}
	c.Header("Content-Type", p.ContentType("")) // gin keeps one that is set already
	body, err := json.Marshal(p)
	if err != nil { // strings and ints: cannot happen
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(p.Status, p.ContentType(""), append(body, '\n'))
}

// translate turns huma's own errors into problems. huma takes the status
// before it asks, so the right one is left with the exchange.
func (a *API) translate(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(fromHuma(ctx.Operation(), m))
	if x, ok := ctx.Context().Value(exchangeKey{}).(*exchange); ok {
		x.override = p.Status
	}
	return p, nil
}

func fromHuma(op *huma.Operation, m *huma.ErrorModel) *fault.Error {
	if e := unreadable(m.Errors); e != nil {
		return e // whatever the status: it depends on SkipValidateBody
	}
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		return tooLarge(op)
	case http.StatusRequestTimeout:
		return fault.ErrBadRequest.WithMessage("the body did not arrive in time")
	case http.StatusUnprocessableEntity:
		return fault.Validation(fields(m.Errors)...)
	case http.StatusBadRequest:
		return fault.ErrBadRequest.WithMessage("a JSON body is needed")
	default: // the body could not be read to its end
		return fault.ErrBadRequest
	}
}

// unreadable returns what keeps a body from being JSON that this server reads,
// or nil.
func unreadable(details []*huma.ErrorDetail) *fault.Error {
	for _, d := range details {
		if d == nil || d.Location != "body" {
			continue
		}
		if bound, ok := strings.CutPrefix(d.Message, exceeding); ok {
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

// fields turns huma's locations, body.members[3] or query.limit, into the
// names that clients know, in their order, and leaves out the values.
func fields(details []*huma.ErrorDetail) []fault.Field {
	var out []fault.Field
	for _, d := range details {
		if d == nil {
			continue
		}
		f := fault.Field{Field: fieldName(d.Location), Message: d.Message}
		if name, ok := between(d.Message, "expected required property ", " to be present"); ok {
			f = fault.Field{Field: join(f.Field, name), Message: "is required"}
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

func fieldName(location string) string {
	for _, place := range []string{"body", "path", "query", "header", "cookie"} {
		rest, ok := strings.CutPrefix(location, place)
		switch {
		case !ok:
		case rest == "":
			return place
		case rest[0] == '.':
			return rest[1:]
		case rest[0] == '[':
			return rest
		}
	}
	return location
}

func between(s, before, after string) (string, bool) {
	s, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
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
		Description: "A problem",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemas.Schema(problemType, true, "")},
		},
	}
}

func (a *API) noRoute(c *gin.Context) {
	a.fail(c, fault.ErrNotFound.WithMessage("there is no such route; see /docs"))
}

func (a *API) noMethod(c *gin.Context) {
	p := newProblem(fault.ErrBadRequest.WithMessage("the route does not know this method; see Allow"))
	p.Status, p.Title, p.Code = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed), "method_not_allowed"
	p.write(c)
	c.Abort()
}

var problemType = reflect.TypeFor[Problem]()
