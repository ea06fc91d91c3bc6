package e2e

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestRecoveryComparedWithNode makes clients lose their connection and reconnect to Node's
// server, to a node of Moim, and to any of three nodes. Clients must see the same each time.
func TestRecoveryComparedWithNode(t *testing.T) {
	t.Parallel()
	needNode(t)
	want := runBehaviours(t, "compare/recovery.mjs", nodeServer(t, "recovery"))
	if len(want) < 12 {
		t.Fatalf("%d behaviours were seen, want at least 12", len(want))
	}
	cfg := socket.Config{Recovery: 10 * time.Second}
	for name, start := range map[string]func(t *testing.T) string{
		"one node": func(t *testing.T) string {
			return startGateway(t, adapter.NewMesh(), &reasons{byKey: make(map[string]string)}, cfg, nil)
		},
		"three nodes behind a balancer": func(t *testing.T) string { return balanced(t, cfg) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for behaviour, got := range runBehaviours(t, "compare/recovery.mjs", start(t)) {
				if diff := cmp.Diff(string(want[behaviour]), string(got)); diff != "" {
					t.Errorf("%s (-node +moim):\n%s", behaviour, diff)
				}
			}
		})
	}
}
