// Package processors keeps a process that has little to do on one processor.
//
// Whenever a Go program wakes up while one of its processors idles, the
// scheduler wakes a second thread, which looks for work, finds none and sleeps
// again. In a server that sleeps between messages that is a sixth of its
// processor time. With GOMAXPROCS=1 there is nobody to wake.
package processors

import (
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// pace says when to change.
type pace struct {
	window time.Duration // how often to look
	calm   time.Duration // how long no window may have been busy before one processor is enough
}

var defaultPace = pace{window: 100 * time.Millisecond, calm: time.Second}

// whole is what GOMAXPROCS was before it was set to 1, while it is.
var whole atomic.Int64

// All returns how many processors there are to use, however many are in use now:
// what is sized by them once is to be sized by this.
func All() int { return max(runtime.GOMAXPROCS(0), int(whole.Load())) }

// Follow sets GOMAXPROCS until ctx ends: to all processors after 100 ms of which
// the process computed for more than 70, to one after a second without such. It
// leaves a process alone that was given GOMAXPROCS, and those of systems that do
// not tell what a process used. GOMAXPROCS is of the whole process: whether to
// follow is for a program to decide, not for a library.
func Follow(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		return
	}
	follow(ctx, defaultPace)
}

func follow(ctx context.Context, p pace) {
	useAll := func() {
		runtime.SetDefaultGOMAXPROCS()
		whole.Store(0)
	}
	defer useAll()
	tick := time.NewTicker(p.window)
	defer tick.Stop()

	used, at, known := usage()
	one, busy := false, at // busy: when it last was
	for known {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, since := used, at
		used, at, known = usage()
		switch {
		case used-now > at.Sub(since)*7/10:
			busy = at
			if one {
				useAll()
				one = false
			}
		case !one && at.Sub(busy) >= p.calm:
			whole.Store(int64(runtime.GOMAXPROCS(0)))
			runtime.GOMAXPROCS(1)
			one = true
		}
	}
}
