// Package heap lets a busy process collect its garbage rarely and makes one that
// rests small.
//
// Go lets as much garbage gather as there is live memory. For a server of few
// live megabytes to which thousands connect, that is a collection every few
// hundred connections, and once it rests, as much unused memory as used.
package heap

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// pace says how much may gather, and when to give it back.
type pace struct {
	slack  uint64        // bytes of garbage that may gather besides Go's share
	window time.Duration // how often to look
	calm   uint64        // bytes that a resting process allocates in a window at most
	worth  uint64        // bytes to have been allocated before it is worth giving memory back
}

var defaultPace = pace{slack: 32 << 20, window: time.Second, calm: 1 << 20, worth: 4 << 20}

// Follow lets 32 MiB more garbage gather than Go does, until ctx ends, and when
// less than a mebibyte was allocated within a second, gives what is not alive
// back to the system. GOMEMLIMIT bounds all of it; where GOGC is set, nothing is
// done. Both are of the whole process: whether to follow is for a program to
// decide, not for a library.
//
// To give memory back takes a processor 4 ms for each 64 MiB: where the process
// is on one, everything waits for that. What dies while little is allocated is
// found at Go's next collection, two minutes after the last at most.
func Follow(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		follow(ctx, defaultPace)
	}
}

func follow(ctx context.Context, p pace) {
	// To the collector this is alive. It is never written to, so that the system
	// has no memory for it.
	ballast := make([]byte, p.slack)
	defer runtime.KeepAlive(ballast)
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64-int64(p.slack) {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit + int64(p.slack)))
	}

	tick := time.NewTicker(p.window)
	defer tick.Stop()
	_, allocated := read()
	given := allocated // what had been allocated when memory was last given back
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := allocated
		var alive uint64
		alive, allocated = read()
		if allocated-before < p.calm && allocated-given > max(p.worth, (alive-min(alive, p.slack))/4) {
			given = allocated
			debug.FreeOSMemory()
		}
	}
}

// read returns how many bytes the last collection found alive, and how many the
// process has allocated in all.
func read() (alive, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
