// Package console serves what a person opens in a browser: the page at /. In
// development mode this page shows two members of a group, live.
//
// Pages and their scripts are embedded. They load nothing from other hosts, need no
// build step, and work under any prefix.
package console

import (
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/internal/toggle"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/web"
)

//go:embed assets
var files embed.FS

//go:embed demo.html start.html
var pages embed.FS

var templates = template.Must(template.ParseFS(pages, "*.html"))

// assetsPath is where the browser finds scripts and styles, relative to the page.
const assetsPath = "/console/assets"

// guestTTL is how long a token of the demonstration is valid: a day, because the page
// does not renew it.
const guestTTL = 24 * time.Hour

// Mint signs a token for a user.
type Mint func(auth.Identity) (string, error)

// Console serves the pages.
type Console struct {
	cfg     Config
	version string
	mint    Mint
}

// New returns a Console. mint signs the tokens of the demonstration. It is nil unless
// the node is in development mode.
func New(cfg Config, version string, mint Mint) *Console {
	return &Console{cfg: cfg.WithDefaults(), version: version, mint: mint}
}

// Register adds the pages to router.
func (c *Console) Register(router gin.IRouter) {
	if c.cfg.Enabled != toggle.On {
		return
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	router = router.Group("", web.RequestID, web.NoSniff)
	serve := http.StripPrefix(assetsPath, http.FileServerFS(assets))
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		router.Handle(method, "/", c.start)
		router.Handle(method, assetsPath+"/:file", func(g *gin.Context) {
			g.Header("Cache-Control", "no-cache")
			g.Header("Content-Security-Policy", "default-src 'none'")
			// Below a prefix, the path is longer than the pattern.
			r := g.Request.Clone(g.Request.Context())
			r.URL.Path = assetsPath + "/" + g.Param("file")
			serve.ServeHTTP(g.Writer, r)
		})
	}
}

// start serves the page at /: the demonstration in development mode, and otherwise
// links.
func (c *Console) start(g *gin.Context) {
	// Another name than this machine's may be a foreign site's, which rebinds it to
	// 127.0.0.1 to read the tokens.
	if c.mint == nil || !origins.LoopbackHost(g.Request.Host) {
		c.render(g, "start.html", "connect-src 'none'", c.version)
		return
	}
	guests, err := c.guests()
	if err != nil {
		_ = g.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	// Members may be on other nodes of this machine.
	connect := "connect-src 'self'"
	for _, host := range []string{"localhost", "127.0.0.1"} {
		connect += " http://" + host + ":* ws://" + host + ":*"
	}
	c.render(g, "demo.html", connect, demo{Version: c.version, Guests: guests})
}

func (c *Console) render(g *gin.Context, page, connect string, data any) {
	g.Header("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", connect,
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; "))
	g.Header("Cache-Control", "no-store")
	g.Header("Referrer-Policy", "no-referrer")
	g.Header("Content-Type", "text/html; charset=utf-8")
	g.Status(http.StatusOK)
	if err := templates.ExecuteTemplate(g.Writer, page, data); err != nil {
		_ = g.Error(err)
	}
}
