package proxytest

import (
	"bytes"
	"runtime"
	"time"
)

// Goroutines returns the number of goroutines of this process, without those of proxies. Do
// not call it in a parallel test.
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

// MostGoroutines runs fn and returns the largest number of goroutines meanwhile.
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
