package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// clientJS is the folder of the TypeScript client.
var clientJS = filepath.Join("..", "..", "client", "js")

// clientJSOnce installs the dependencies of the TypeScript client and builds it. It does so once,
// because several tests use the build.
var clientJSOnce = sync.OnceValue(func() error {
	if err := install(clientJS); err != nil {
		return err
	}
	build := exec.Command("npm", "run", "build")
	build.Dir = clientJS
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("npm run build: %w\n%s", err, out)
	}
	return nil
})

// TestClientJS runs the tests of the TypeScript client against its fake server and against a
// node.
func TestClientJS(t *testing.T) {
	t.Parallel()
	if err := clientJSOnce(); err != nil {
		skipOrFail(t, err)
	}
	npmTest(t, clientJS, "test:built", "MOIM_HTTP_ORIGINS=*")
}
