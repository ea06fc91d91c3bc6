package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/origins"
)

// The page that shows the OpenAPI document. It works without the Internet, because it loads
// nothing from other hosts.
var (
	//go:embed docs_try.js
	docsTry string
	//go:embed docs.js
	docsScript string
	//go:embed docs.css
	docsStyle string
)

const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Moim API</title>
<style>%s</style>
</head>
<body%s>
<main id="api">Loading <a href="openapi.json">openapi.json</a>…</main>
<script>%s</script>
</body>
</html>
`

func (a *API) serveDocs() {
	script := docsTry + docsScript
	policy := strings.Join([]string{
		"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"script-src '" + integrity(script) + "'",
		"style-src '" + integrity(docsStyle) + "'",
	}, "; ")
	a.handle(http.MethodGet, "/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", policy)
		c.Header("Cache-Control", "no-store")
		c.Header("Referrer-Policy", "no-referrer")
		attribute := ""
		// A foreign site could make its own name resolve to 127.0.0.1 and read the token,
		// so the host must be a name of this machine.
		if a.docsToken != nil && origins.LoopbackHost(c.Request.Host) {
			c.Writer.Header().Del("Access-Control-Allow-Origin")
			token, err := a.docsToken()
			if err != nil {
				a.fail(c, err)
				return
			}
			attribute = ` data-token="` + html.EscapeString(token) + `"`
		}
		c.Data(http.StatusOK, "text/html; charset=utf-8", fmt.Appendf(nil, docsPage, docsStyle, attribute, script))
	})
	a.handle(http.MethodGet, "/asyncapi.json", func(c *gin.Context) {
		if a.sockets == nil {
			a.noRoute(c)
			return
		}
		spec, err := a.sockets(a.Codes())
		if err != nil {
			a.fail(c, err)
			return
		}
		c.Data(http.StatusOK, "application/json", spec)
	})
	a.handle(http.MethodGet, "/openapi.json", func(c *gin.Context) {
		spec, err := a.document()
		if err != nil {
			a.fail(c, err)
			return
		}
		c.Data(http.StatusOK, "application/json", spec)
	})
}

func integrity(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
