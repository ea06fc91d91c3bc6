// Package heap lets a busy process collect its garbage rarely and makes one that
// rests small.
//
// Go lets as much garbage gather as there is live memory. For a server of few
// live megabytes to which thousands connect, that is a collection every few
// hundred connections, and once it rests, as much unused memory as used.
package heap

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// pace says how much may gather, and when to give it back.
type pace struct {
	slack  uint64        // bytes of garbage that may gather, however little is alive
	window time.Duration // how often to look
	calm   uint64        // bytes that a resting process allocates in a window at most
	worth  uint64        // bytes to have been allocated before it is worth giving memory back
}

var defaultPace = pace{slack: 32 << 20, window: time.Second, calm: 1 << 20, worth: 4 << 20}

// Follow sets how often garbage is collected until ctx ends: once as much as is
// alive has gathered, as Go does, but at least 32 MiB. When less than a mebibyte
// was allocated within a second, what is not alive is given back to the system.
// GOMEMLIMIT bounds all of it; where GOGC is set, nothing is done. Both are of
// the whole process: whether to follow is for a program to decide, not for a
// library.
func Follow(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		follow(ctx, defaultPace)
	}
}

func follow(ctx context.Context, p pace) {
	tick := time.NewTicker(p.window)
	defer tick.Stop()
	collected := make(chan struct{}, 1)
	tell(collected)

	alive, allocated := read()
	given := allocated // what had been allocated when memory was last given back
	defer debug.SetGCPercent(debug.SetGCPercent(p.percent(alive)))
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected:
			tell(collected)
			alive, _ = read()
			debug.SetGCPercent(p.percent(alive))
		case <-tick.C:
			before := allocated
			alive, allocated = read()
			if allocated-before < p.calm && allocated-given > max(p.worth, alive/4) {
				given = allocated
				debug.FreeOSMemory()
			}
		}
	}
}

// percent is that of the live memory which may gather as garbage.
func (p pace) percent(alive uint64) int {
	return int(max(100, 100*p.slack/max(alive, 4<<20)))
}

// tell sends on c after the next collection.
func tell(c chan<- struct{}) {
	type object struct{ _ *byte } // a pointer: what has none may be kept alive by a neighbor
	runtime.AddCleanup(new(object), func(c chan<- struct{}) { c <- struct{}{} }, c)
}

// read returns how many bytes the last collection found alive, and how many the
// process has allocated in all.
func read() (alive, allocated uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
