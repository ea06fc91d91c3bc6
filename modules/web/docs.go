package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// The page that shows the OpenAPI document. It works without the Internet,
// because it loads nothing from other hosts.
var (
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
<body>
<main id="api">Loading <a href="openapi.json">openapi.json</a>…</main>
<script>%s</script>
</body>
</html>
`

func (a *API) serveDocs() {
	page := fmt.Appendf(nil, docsPage, docsStyle, docsScript)
	policy := strings.Join([]string{
		"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"script-src '" + integrity(docsScript) + "'",
		"style-src '" + integrity(docsStyle) + "'",
	}, "; ")
	a.handle(http.MethodGet, "/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", policy)
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
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
