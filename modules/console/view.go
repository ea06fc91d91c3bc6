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
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

// maxForm bounds what a form sends, in bytes.
const maxForm = 256 << 10

// view is a page of the console.
type view struct {
	path  string // below /console/, with gin's parameters, such as groups/:groupId
	title string
	menu  bool   // whether the navigation has it
	file  string // of its template, which defines content

	// data returns what the template shows. Its errors become error pages.
	data func(ctx context.Context, v visit) (any, error)
	// live is how often the template live, a part of content, is renewed while the page is
	// open. 0: the template has none.
	live time.Duration
	// forms are what the page can change, by the part of the path below the view's.
	forms map[string]form

	template *template.Template
}

// form makes a change that a page has asked for. It returns where the browser goes then,
// relative to the form's path, and why, a key of [notices].
type form func(ctx context.Context, v visit) (to, notice string, err error)

// notices are what a page says once, after a form has led to it.
var notices = map[string]string{
	"signed-out": "You have signed out on this browser. The token stays valid until it expires or is revoked.",
	"ended":      "Your session has ended, because the token has expired or is no longer accepted. Sign in again.",
}

// views returns all pages that need a session, in the order of the navigation.
func (c *Console) views() []*view {
	return []*view{
		{path: "", title: "Overview", menu: true, file: "overview.html", data: c.overview, live: sampleEvery},
		{path: "configuration", title: "Configuration", menu: true, file: "configuration.html", data: c.configuration},
		{path: "audit", title: "Audit", menu: true, file: "audit.html", data: c.audit},
	}
}

// layout is what the template layout shows around a view.
type layout struct {
	Root     string // relative path of the console's root, with a slash at its end
	Title    string
	Version  string
	Menu     []menuItem // empty unless somebody has signed in
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
		w.template = parse(w.file)
		get("/"+w.path, func(g *gin.Context) { c.show(g, w) })
		for name, f := range w.forms {
			post("/"+strings.TrimPrefix(w.path+"/"+name, "/"), func(g *gin.Context) { c.submit(g, f) })
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

// submit makes the change of a form, and leads to a page that shows it: reloading that does
// not repeat the change.
func (c *Console) submit(g *gin.Context, f form) {
	v, ok := c.enter(g)
	if !ok {
		return
	}
	if v.caller.ReadOnly() {
		c.fail(g, v, fault.ErrForbidden.WithMessage("your token may only look: its scope has no call that changes something"))
		return
	}
	to, notice, err := f(audit.WithVia(g.Request.Context(), audit.Console), v)
	if err != nil {
		c.fail(g, v, err)
		return
	}
	if notice != "" {
		to += "?done=" + notice
	}
	redirect(g, to)
}

// rootOf returns the relative path from a request's page to the console's root.
func rootOf(g *gin.Context) string {
	const base = "/console/"
	path := g.FullPath()
	at := strings.LastIndex(path, base)
	if at < 0 {
		return "./"
	}
	return "./" + strings.Repeat("../", strings.Count(path[at+len(base):], "/"))
}

// redirect leads to a relative path. http.Redirect would make it absolute, and so lose a
// prefix that a proxy has cut.
func redirect(g *gin.Context, to string) {
	g.Header("Location", to)
	g.String(http.StatusSeeOther, "see %s\n", to)
}

// problem is what an error page says.
type problem struct {
	Status           int
	Message, Request string
	Root             string
	Fields           []fault.Field
}

// problem returns what to say about an error, and logs what it leaves out.
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
		Notice: notices[g.Query("done")], Data: data,
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
		t = parse(w.file)
	}
	var out bytes.Buffer // an error in the middle must not leave half a page
	if err := t.ExecuteTemplate(&out, "layout", page); err != nil {
		c.deps.Log.ErrorContext(g.Request.Context(), "console: a page failed", "view", w.file, "err", err)
		g.String(http.StatusInternalServerError, "internal error\n")
		return
	}
	g.Data(status, "text/html; charset=utf-8", out.Bytes())
}

// parse returns the templates of a view. They are embedded, so it cannot fail.
func parse(file string) *template.Template {
	return template.Must(template.New(file).Funcs(functions).ParseFS(pages, "views/layout.html", "views/"+file))
}

var functions = template.FuncMap{
	"duration": func(seconds int64) string { return (time.Duration(seconds) * time.Second).String() },
	"size":     func(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) },
	"when":     func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") },
	"number":   number,
}
