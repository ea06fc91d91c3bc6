package e2e

import (
	"path/filepath"
	"testing"
)

// clientJS is the folder of the TypeScript client.
var clientJS = filepath.Join("..", "..", "client", "js")

// TestClientJS runs the tests of the TypeScript client: those against its fake server, and
// those against a node.
func TestClientJS(t *testing.T) {
	t.Parallel()
	npmTest(t, clientJS, "MOIM_HTTP_ORIGINS=*")
}
