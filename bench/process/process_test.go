//go:build linux

package process

import (
	"os"
	"testing"
	"time"
)

func TestStat(t *testing.T) {
	t.Parallel()
	p := stat([]byte("17 (a (name) 1 2) S 4 17 17 0 -1 4194560 100 0 0 0 10 20 3 4 20 0 9 0 100 1 2"))
	if want := (Process{Name: "a (name) 1 2", Parent: 4, Used: 70 * time.Millisecond}); p != want {
		t.Errorf("read %+v, want %+v", p, want)
	}
	if p := stat([]byte("nonsense")); p != (Process{}) {
		t.Errorf("read %+v", p)
	}
}

// TestClock checks that processor time of this process is visible at once, even if it is shorter
// than a tick.
func TestClock(t *testing.T) {
	t.Parallel()
	before := clock(os.Getpid())
	if before <= 0 {
		t.Fatalf("this process has used %s", before)
	}
	for start := time.Now(); time.Since(start) < tick/4; {
		continue
	}
	if used := clock(os.Getpid()) - before; used <= 0 || used > time.Minute {
		t.Errorf("used %s", used)
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	all := map[int]Process{1: {}, 2: {Parent: 1}, 3: {Parent: 2}, 4: {Parent: 1}}
	for pid, want := range map[int]bool{1: false, 2: true, 3: true, 4: false, 5: false} {
		if got := Below(all, pid, map[int]bool{2: true}); got != want {
			t.Errorf("%d is below 2: %t, want %t", pid, got, want)
		}
	}
}
