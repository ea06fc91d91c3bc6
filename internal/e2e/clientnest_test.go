package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// TestClientNest runs the tests of the Nest module, with a node that sends it events.
func TestClientNest(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "..", "client", "nest")
	if err := install(folder); err != nil {
		skipOrFail(t, err)
	}
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HOOK_PRIVATE=true")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	test := exec.CommandContext(ctx, "npm", "test")
	test.Dir = folder
	test.Env = append(os.Environ(), "MOIM_URL="+n.URL(), "MOIM_SECRET="+secret)
	childtest.DieWithParent(test)
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
