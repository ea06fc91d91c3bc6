package engine

import "runtime"

// Turn is how many connections are written to, in some hundred microseconds,
// before other goroutines have their turn. Without that they would wait for 10 ms,
// which is how long Go lets one run.
const Turn = 64

// InTurns calls write for each item, a connection or a socket, and lets other
// goroutines run after each [Turn].
func InTurns[T any](items []T, write func(T)) {
	for i, item := range items {
		if i > 0 && i%Turn == 0 {
			runtime.Gosched()
		}
		write(item)
	}
}
