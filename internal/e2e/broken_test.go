package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
)

// TestBrokenPresenceIsReported checks that /readyz reports missing presence and still answers
// 200. Presence may be missing because another program's value was under its key.
func TestBrokenPresenceIsReported(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_REDIS_URL="+s.URL())
	if err := s.Client().Del(t.Context(), "moim:presence:nodes").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Set(t.Context(), "moim:presence:nodes", "broken", 0).Err(); err != nil {
		t.Fatal(err)
	}
	named := func() bool {
		status, err := n.probe("/readyz")
		if err != nil || status != http.StatusOK {
			t.Fatalf("/readyz answers %d, %v", status, err)
		}
		said := n.text("/readyz")
		return strings.Contains(said, `"degraded"`) && strings.Contains(said, "moim:presence:nodes held what Moim did not write")
	}
	if !wait(time.Minute, named) {
		t.Errorf("/readyz does not name the key: %s", n.text("/readyz"))
	}
	if metrics := n.text("/metrics"); !strings.Contains(metrics, "\nmoim_presence_broken_total 1\n") {
		t.Error("/metrics does not count the broken key")
	}
	if !wait(time.Minute, func() bool { return strings.Contains(n.text("/readyz"), `"status":"ready"`) }) {
		t.Errorf("the node does not become ready again: %s", n.text("/readyz"))
	}
}
