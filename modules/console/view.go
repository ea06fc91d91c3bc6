package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

// maxForm limits the size of a form, in bytes.
const maxForm = 256 << 10

// view is a page of the console.
type view struct {
	path  string // path below /console/ in gin's syntax, such as groups/:groupId
	title string
	menu  bool   // whether the menu lists it
	file  string // file of its template, which defines content

	// data returns the data for the template. Its errors become error pages.
	data func(ctx context.Context, v visit) (any, error)
	// live is the interval at which the template live, a part of content, is updated while
	// the page is open. 0 means that there is no such part.
	live time.Duration
	// forms are the changes that the page can make, by the value of the field form.
	forms map[string]form

	template *template.Template
}

// notices are messages that a page shows once after a form.
var notices = map[string]string{
	"signed-out": "You have signed out on this browser. The token stays valid until it expires or is revoked.",
	"ended":      "Your session has ended, because the token has expired or is no longer accepted. Sign in again.",

	"created":      "The group is created.",
	"saved":        "The change is saved.",
	"ending":       "The group ends in a moment.",
	"deleted":      "The group is deleted.",
	"added":        "The users are members.",
	"removed":      "The user is no member any more.",
	"banned":       "The user is banned.",
	"unbanned":     "The ban is lifted.",
	"unmuted":      "The mute is lifted.",
	"transferred":  "The group has a new owner.",
	"approved":     "The user is a member.",
	"rejected":     "The request is rejected.",
	"revoked":      "The invite is revoked.",
	"disconnected": "The sockets of the user are closed. Clients that have a valid token connect again.",
	"renaming":     "The user is being renamed in all their groups. This may take a moment.",
	"cut-off":      "The tokens of the user that were issued until now are refused.",
	"posted":       "The message is posted.",
	"resumed":      "What is left is being sent.",
}

// layout is the data of the template layout, which surrounds a view.
type layout struct {
	Root     string // relative path to the console's root, with a slash at the end
	Title    string
	Version  string
	Menu     []menuItem // empty unless the user has signed in
	Caller   string
	ReadOnly bool
	Notice   string
	Data     any
}

type menuItem struct {
	Path, Title string
	Current     bool
}

func (c *Console) mountViews(router gin.IRouter) {
	const base = "/console"
	protection := http.NewCrossOriginProtection()
	router = router.Group(base, func(g *gin.Context) {
		secure(g, "'self'", "'self'")
		if err := protection.Check(g.Request); err != nil {
			c.fail(g, visit{}, fault.ErrForbidden.WithMessage("the form was sent from a page of another site. If it was not, the proxy in front of this node must pass on the header Host").WithCause(err))
			g.Abort()
		}
	})
	get := func(path string, handler gin.HandlerFunc) {
		router.GET(path, handler)
		router.HEAD(path, handler)
	}
	post := func(path string, handler gin.HandlerFunc) {
		router.POST(path, func(g *gin.Context) {
			g.Request.Body = http.MaxBytesReader(g.Writer, g.Request.Body, maxForm)
			if err := g.Request.ParseForm(); err != nil {
				c.fail(g, visit{}, fault.ErrBadRequest.WithMessage("the form cannot be read, or is too large").WithCause(err))
				return
			}
			handler(g)
		})
	}
	get("", func(g *gin.Context) { redirect(g, "console/") })
	get("/"+signInPath, c.showSignIn)
	post("/"+signInPath, c.signIn)
	post("/"+signOutPath, c.signOut)
	for _, w := range c.views() {
		w.template = parse(w.path, w.file)
		get("/"+w.path, func(g *gin.Context) { c.show(g, w) })
		if len(w.forms) > 0 {
			post("/"+w.path, func(g *gin.Context) { c.submit(g, w) })
		}
	}
	get("/:unknown", func(g *gin.Context) {
		if v, ok := c.enter(g); ok {
			c.fail(g, v, fault.ErrNotFound.WithMessage("the console has no such page"))
		}
	})
}

// show answers with a page, or with a stream of its live part.
func (c *Console) show(g *gin.Context, w *view) {
	v, ok := c.enter(g)
	if !ok {
		return
	}
	g.Header("Vary", "Accept")
	if w.live > 0 && strings.Contains(g.GetHeader("Accept"), eventStream) {
		c.stream(g, w, v)
		return
	}
	data, err := w.data(g.Request.Context(), v)
	if err != nil {
		c.fail(g, v, err)
		return
	}
	c.render(g, http.StatusOK, w, v, data)
}

// rootOf returns the relative path from a request's page to the console's root.
func rootOf(g *gin.Context) string {
	const base = "/console/"
	path := g.FullPath()
	at := strings.LastIndex(path, base)
	if at < 0 {
		return "./"
	}
	return rootFrom(path[at+len(base):])
}

// rootFrom returns the relative path to the console's root from a path below it.
func rootFrom(path string) string { return "./" + strings.Repeat("../", strings.Count(path, "/")) }

// redirect redirects to a relative path. http.Redirect would make it absolute, which fails
// behind a proxy that removes a prefix.
func redirect(g *gin.Context, to string) {
	g.Header("Location", to)
	g.String(http.StatusSeeOther, "see %s\n", to)
}

// problem is the content of an error page.
type problem struct {
	Status           int
	Message, Request string
	Root             string
	Fields           []fault.Field
}

// problem returns the message about an error, and logs an internal error.
func (c *Console) problem(g *gin.Context, err error) problem {
	ctx, e := g.Request.Context(), fault.From(err)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
	case e.Kind == fault.Internal:
		c.deps.Log.ErrorContext(ctx, "console: a request failed", "route", g.FullPath(), "err", err)
		e = fault.ErrInternal
	case e.Unwrap() != nil:
		c.deps.Log.LogAttrs(ctx, slog.LevelDebug, "console: a request was refused", slog.String("route", g.FullPath()), slog.Any("err", err))
	}
	return problem{Status: web.Status(e.Kind), Message: e.Message, Request: requestid.From(ctx), Fields: e.Fields}
}

// fail answers with an error page.
func (c *Console) fail(g *gin.Context, v visit, err error) {
	p := c.problem(g, err)
	p.Root = rootOf(g)
	c.render(g, p.Status, &view{title: http.StatusText(p.Status), file: "error.html"}, v, p)
}

// render answers with a page.
func (c *Console) render(g *gin.Context, status int, w *view, v visit, data any) {
	page := layout{
		Root: rootOf(g), Title: w.title, Version: c.deps.Version,
		Data: data,
	}
	if g.Request.Method != http.MethodPost {
		page.Notice = notices[g.Query("done")]
	}
	if d, ok := data.(interface{ heading() string }); ok {
		page.Title = d.heading()
	}
	if v.token != "" {
		page.Caller, page.ReadOnly = v.caller.UserID, v.caller.ReadOnly()
		for _, item := range c.views() {
			if item.menu {
				page.Menu = append(page.Menu, menuItem{Path: item.path, Title: item.title, Current: item.file == w.file})
			}
		}
	}
	t := w.template
	if t == nil {
		t = parse(w.path, w.file)
	}
	var out bytes.Buffer // so that an error does not leave half a page
	if err := t.ExecuteTemplate(&out, "layout", page); err != nil {
		c.deps.Log.ErrorContext(g.Request.Context(), "console: a page failed", "view", w.file, "err", err)
		g.String(http.StatusInternalServerError, "internal error\n")
		return
	}
	g.Data(status, "text/html; charset=utf-8", out.Bytes())
}

// parse returns the templates of a view. They are embedded, so it cannot fail.
func parse(path, file string) *template.Template {
	root := template.FuncMap{"root": func() string { return rootFrom(path) }}
	return template.Must(template.New(file).Funcs(functions).Funcs(root).ParseFS(pages, "views/layout.html", "views/parts.html", "views/"+file))
}

var functions = template.FuncMap{
	"duration": func(seconds int64) string { return (time.Duration(seconds) * time.Second).String() },
	"size":     func(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) },
	"when":     func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") },
	"text":     func(value any) string { return fmt.Sprint(value) },
	"number":   number,
}
