// Package console serves the pages that people open in a browser: the page at /, which
// demonstrates two members of a group in development mode, and the operators' console at
// /console/. Create a [Console] with [New].
//
// Each page of the console is a [view]: a path, a template in views/, and a function that
// reads the page's data. Views call the same service as the API, with the identity of the
// signed-in user, and use no SQL of their own. To add a view, add it to [Console.views].
//
// Pages and their scripts are embedded. They load nothing from other hosts and need no
// build step. All their links are relative, so they work under any prefix.
package console

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/proxies"
	"github.com/moim-live/moim/internal/toggle"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/web"
)

//go:embed assets
var files embed.FS

//go:embed views
var pages embed.FS

// assetsPath is the path of scripts and styles, relative to the page at /.
const assetsPath = "/console/assets"

// Mint signs a token for a user.
type Mint func(auth.Identity) (string, error)

// Nodes knows the nodes of the deployment. socket.Emitter implements it.
type Nodes interface {
	// NodesInDetail returns a [Node] as JSON for each node, this one first, and the names
	// of the nodes that did not answer before ctx ended.
	NodesInDetail(ctx context.Context) (reports []json.RawMessage, missing []string)
}

// Setting is one value of the configuration in force. Secrets are hidden.
type Setting struct {
	Name, Value, Source, Help string
}

// Deps holds the dependencies of a Console.
type Deps struct {
	Version  string
	Node     func() string // returns the id of this node
	Mint     Mint          // signs the tokens of development mode; nil if that is off
	Verify   web.Verifier  // the API's verifier
	Proxies  proxies.List  // proxies that are trusted to say whether a client uses TLS
	Groups   Groups
	Hooks    Hooks
	Users    Users
	Tokens   group.TokenRevoker
	Grace    time.Duration // group.presence.grace
	Nodes    Nodes
	Settings func() []Setting
	Log      *slog.Logger
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	cfg     Config
	deps    Deps
	streams streams
}

// New returns a Console.
func New(cfg Config, deps Deps) *Console {
	return &Console{cfg: cfg.WithDefaults(), deps: deps}
}

// Stop ends the streams of live pages, and refuses new ones.
func (c *Console) Stop() { c.streams.stop() }

// Register adds the page at /, and the console, to router.
func (c *Console) Register(router gin.IRouter) {
	if c.cfg.Enabled != toggle.On {
		return
	}
	start := router.Group("", web.RequestID, web.NoSniff)
	start.GET("/", c.start)
	start.HEAD("/", c.start)
	c.Mount(router)
}

// Mount adds the console to router at /console/. It does nothing if the console is
// disabled.
func (c *Console) Mount(router gin.IRouter) {
	if c.cfg.Enabled != toggle.On {
		return
	}
	router = router.Group("", web.RequestID, web.NoSniff)
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	serve := http.StripPrefix(assetsPath, http.FileServerFS(assets))
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		router.Handle(method, assetsPath+"/:file", func(g *gin.Context) {
			g.Header("Cache-Control", "no-cache")
			g.Header("Content-Security-Policy", "default-src 'none'")
			// Under a prefix, the path is longer than the pattern.
			r := g.Request.Clone(g.Request.Context())
			r.URL.Path = assetsPath + "/" + g.Param("file")
			serve.ServeHTTP(g.Writer, r)
		})
	}
	c.mountViews(router)
}

// secure sets the security headers of every page: it may load only what this node serves.
func secure(g *gin.Context, connect, forms string) {
	g.Header("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src " + connect,
		"base-uri 'none'", "form-action " + forms, "frame-ancestors 'none'",
	}, "; "))
	g.Header("Cache-Control", "no-store")
	g.Header("Referrer-Policy", "no-referrer")
}
