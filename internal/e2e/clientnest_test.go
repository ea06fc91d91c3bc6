package e2e

import (
	"path/filepath"
	"testing"
)

// TestClientNest runs the tests of the Nest module, with a node that sends it events. Then it
// runs them with Nest 12.
func TestClientNest(t *testing.T) {
	t.Parallel()
	module := filepath.Join("..", "..", "client", "nest")
	if err := install(filepath.Join(module, "nest12")); err != nil {
		skipOrFail(t, err)
	}
	for _, script := range []string{"test", "test:12"} {
		npmTest(t, module, script, "MOIM_HOOK_PRIVATE=true")
	}
}
