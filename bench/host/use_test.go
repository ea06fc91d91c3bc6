//go:build linux

package host

import (
	"testing"
	"time"
)

func TestUse(t *testing.T) {
	t.Parallel()
	before := Use{"node": time.Second, "redis": time.Second}
	use := Use{"node": 4 * time.Second, "redis": 2 * time.Second, "idle": 0}.Since(before)
	if got := use.Total(); got != 4*time.Second {
		t.Errorf("total %s", got)
	}
	if got, want := use.Parts(), "node 75 %, redis 25 %"; got != want {
		t.Errorf("parts %q, want %q", got, want)
	}
}
