package e2e

import (
	"path/filepath"
	"testing"
)

// TestClientNest runs the tests of the Nest module, with a node that sends it events.
func TestClientNest(t *testing.T) {
	t.Parallel()
	npmTest(t, filepath.Join("..", "..", "client", "nest"), "test", "MOIM_HOOK_PRIVATE=true")
}
