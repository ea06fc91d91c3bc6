package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// form makes the change that a page requests. The page posts it to its own address, with
// the form's name in the field form.
type form func(ctx context.Context, v visit) (outcome, error)

// outcome is the result of a change.
type outcome struct {
	to     string // relative address to which the browser goes; empty for the page itself
	notice string // a key of [notices]; the page shows that notice
	once   any    // if set, the page shows this directly, because it must not be in an address
}

// failure is a form that was refused.
type failure struct {
	form    string
	code    string
	problem problem
}

// submit makes the change of a form, and redirects to a page that shows it, so that
// reloading does not repeat the change. If the change fails, the page shows why and keeps
// what the user typed.
func (c *Console) submit(g *gin.Context, w *view) {
	v, ok := c.enter(g)
	if !ok {
		return
	}
	name := g.Request.PostForm.Get("form")
	change, known := w.forms[name]
	switch {
	case !known:
		c.fail(g, v, fault.ErrBadRequest.WithMessage("the page has no such form: open it again"))
		return
	case v.caller.ReadOnly():
		c.fail(g, v, fault.ErrForbidden.WithMessage("your token may only look: its scope has no call that changes something"))
		return
	}
	ctx := group.WithKey(audit.WithVia(g.Request.Context(), audit.Console), keyOf(g.Request))
	done, err := change(ctx, v)
	status := http.StatusOK
	switch {
	case errors.Is(err, group.ErrIdempotencyMismatch): // this form has already made its change; see keyOf
		redirect(g, noticed(done.to, done.notice))
		return
	case err != nil:
		p := c.problem(g, err)
		v.failed, status = &failure{form: name, code: fault.From(err).Code, problem: p}, p.Status
	case done.once != nil:
		v.once = done.once
	default:
		redirect(g, noticed(done.to, done.notice))
		return
	}
	data, unread := w.data(g.Request.Context(), v)
	switch {
	case unread != nil && err != nil:
		c.fail(g, v, err)
	case unread != nil:
		c.fail(g, v, unread)
	default:
		c.render(g, status, w, v, data)
	}
}

// keyOf returns the idempotency key of a form, or "" if it has none. The key differs each
// time the page is shown, and for different fields. So a form that is sent twice (by a
// double click or by reloading) makes one change.
func keyOf(r *http.Request) string {
	if r.PostForm.Get(onceField) == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(r.URL.Path + "?" + r.URL.RawQuery + "\n" + r.PostForm.Encode()))
	return "console-" + hex.EncodeToString(sum[:])
}

// onceField is the form field whose value differs each time the page is shown.
const onceField = "once"

// NewKey returns a value for onceField.
func (formPage) NewKey() string { return rand.Text() }

// noticed returns a relative address at which the page shows a notice.
func noticed(to, notice string) string {
	mark := "?"
	if strings.Contains(to, "?") {
		mark = "&"
	}
	return to + mark + "done=" + notice
}

// sent returns a field of the form, with the line ends of the page's own text.
func (v visit) sent(field string) string { return typed(v.g.Request.PostForm, field) }

func typed(form url.Values, field string) string {
	return strings.ReplaceAll(form.Get(field), "\r\n", "\n")
}

// formPage is the data that the forms of a page need.
type formPage struct {
	MayChange bool
	Once      any // shown once by the last form

	failed *failure
	sent   url.Values
}

func (v visit) forms() formPage {
	return formPage{MayChange: !v.caller.ReadOnly(), Once: v.once, failed: v.failed, sent: v.g.Request.PostForm}
}

// Problem returns why a form was refused, or nil if it was not.
func (f formPage) Problem(form string) *problem {
	if f.failed == nil || f.failed.form != form {
		return nil
	}
	return &f.failed.problem
}

// Typed returns what the user typed into a refused form, or otherwise the current value.
func (f formPage) Typed(form, field, current string) string {
	if f.Problem(form) == nil {
		return current
	}
	return typed(f.sent, field)
}

// Conflict reports whether a form was refused because the record has changed since the page
// was opened.
func (f formPage) Conflict(form string) bool {
	return f.Problem(form) != nil && f.failed.code == group.ErrVersionConflict.Code
}

// Differs reports whether a form has a conflict and its value differs from the current one.
func (f formPage) Differs(form, field, current string) bool {
	return f.Conflict(form) && typed(f.sent, field) != current
}

// option is a choice of a select element.
type option struct {
	Value    string
	Selected bool
}

// Options returns the choices of a field.
func (f formPage) Options(form, field, current string, values ...string) []option {
	chosen := f.Typed(form, field, current)
	options := make([]option, len(values))
	for i, value := range values {
		options[i] = option{Value: value, Selected: value == chosen}
	}
	return options
}

// mistake is an error about one field of a form.
func mistake(field, message string) error {
	return fault.Validation(fault.Field{Field: field, Message: message})
}
