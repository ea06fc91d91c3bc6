//go:build !unix

package engine

import "net"

// direct cannot write without waiting here: goroutines do it all.
type direct struct{}

func (*direct) bind(net.Conn) {}

func (*direct) try([]byte) (int, error) { return 0, nil }
