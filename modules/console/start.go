package console

import (
	"html/template"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/origins"
)

var startPages = template.Must(template.ParseFS(pages, "views/demo.html", "views/start.html"))

// guestTTL is the validity of a token of the demonstration. It is a day, because the page
// does not renew the token.
const guestTTL = 24 * time.Hour

// start serves the page at /: the demonstration in development mode, and otherwise links.
func (c *Console) start(g *gin.Context) {
	if !c.developing(g.Request) {
		renderStart(g, "start.html", "'none'", c.deps.Version)
		return
	}
	guests, err := c.guests()
	if err != nil {
		_ = g.AbortWithError(http.StatusInternalServerError, err)
		return
	}
	// Members may be connected to other nodes of this machine.
	connect := "'self'"
	for _, host := range []string{"localhost", "127.0.0.1"} {
		connect += " http://" + host + ":* ws://" + host + ":*"
	}
	renderStart(g, "demo.html", connect, demo{Version: c.deps.Version, Guests: guests})
}

// developing reports whether this node may give a token to this request. The request's host
// must be a name of this machine: a foreign site could make its own name resolve to
// 127.0.0.1 and read the token.
func (c *Console) developing(r *http.Request) bool {
	return c.deps.Mint != nil && origins.LoopbackHost(r.Host)
}

func renderStart(g *gin.Context, page, connect string, data any) {
	secure(g, connect, "'none'")
	g.Header("Content-Type", "text/html; charset=utf-8")
	g.Status(http.StatusOK)
	if err := startPages.ExecuteTemplate(g.Writer, page, data); err != nil {
		_ = g.Error(err)
	}
}
