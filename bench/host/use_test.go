//go:build linux

package host

import (
	"testing"
	"time"
)

func TestStat(t *testing.T) {
	t.Parallel()
	p := stat([]byte("17 (a (name) 1 2) S 4 17 17 0 -1 4194560 100 0 0 0 10 20 3 4 20 0 9 0 100 1 2"))
	if p.name != "a (name) 1 2" || p.parent != 4 || p.used != 370*time.Millisecond {
		t.Errorf("read %+v", p)
	}
	if p := stat([]byte("nonsense")); p != (process{}) {
		t.Errorf("read %+v", p)
	}
}

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
