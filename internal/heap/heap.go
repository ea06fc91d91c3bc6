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
	tick := time.NewTicker(p.window)
	defer tick.Stop()
	collected := make(chan struct{}, 1)
	tell(collected)

	alive, weight, allocated := read()
	given := allocated // what had been allocated when memory was last given back
	defer debug.SetGCPercent(debug.SetGCPercent(p.percent(weight)))
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected:
			tell(collected)
			_, weight, _ = read()
			debug.SetGCPercent(p.percent(weight))
		case <-tick.C:
			before := allocated
			alive, _, allocated = read()
			if allocated-before < p.calm && allocated-given > max(p.worth, alive/4) {
				given = allocated
				debug.FreeOSMemory()
			}
		}
	}
}

// percent is that of the weight of what is alive which may gather as garbage. It
// has a bound because it is that of the collection before: what is alive may have
// grown much since.
func (p pace) percent(weight uint64) int {
	return int(min(400, max(100, 100*p.slack/max(weight, 1))))
}

// tell sends on c after the next collection.
func tell(c chan<- struct{}) {
	type object struct{ _ *byte } // a pointer: what has none may be kept alive by a neighbor
	runtime.AddCleanup(new(object), func(c chan<- struct{}) { c <- struct{}{} }, c)
}

// read returns how many bytes the last collection found alive on the heap, the
// same with stacks and globals, which Go takes its percentage of, and how many
// the process has allocated in all.
func read() (alive, weight, allocated uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	alive = samples[0].Value.Uint64()
	return alive, alive + samples[1].Value.Uint64() + samples[2].Value.Uint64(), samples[3].Value.Uint64()
}
