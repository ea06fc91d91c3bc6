//go:build linux

package load

import (
	"math/bits"
	"time"
)

// fine is how many bits of a value a histogram keeps: it is right to 3 %.
const fine = 5

// histogram counts durations without allocating.
type histogram struct {
	counts [64 << fine]int64
	total  int64
}

func (h *histogram) add(d int64) {
	h.total++
	h.counts[bucket(uint64(max(0, d)))]++
}

func bucket(v uint64) int {
	if v < 1<<fine {
		return int(v)
	}
	shift := bits.Len64(v) - fine - 1
	return (shift+1)<<fine + int(v>>shift)&(1<<fine-1)
}

// lowest is the lowest value of a bucket.
func lowest(bucket int) uint64 {
	if bucket < 1<<fine {
		return uint64(bucket)
	}
	shift := bucket>>fine - 1
	return (1<<fine + uint64(bucket)&(1<<fine-1)) << shift
}

// quantile is what a part q of the durations does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := int64(q * float64(h.total-1))
	for i, n := range h.counts {
		if rank -= n; rank < 0 {
			return time.Duration(lowest(i))
		}
	}
	return 0
}
