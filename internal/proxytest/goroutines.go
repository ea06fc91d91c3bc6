package proxytest

import (
	"bytes"
	"runtime"
	"time"
)

// Goroutines counts the goroutines of this process that are not a proxy's. Call
// it in a test that runs alone.
func Goroutines() int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := 0
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if !bytes.Contains(stack, []byte("/proxytest.(*Proxy)")) {
			count++
		}
	}
	return count
}

// MostGoroutines runs fn and returns how many there were meanwhile, at most.
func MostGoroutines(fn func()) int {
	most, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		most = max(most, Goroutines())
		select {
		case <-done:
			return most
		case <-tick.C:
		}
	}
}
