package engine

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRawCalls measures the cost of notifying Go's scheduler of each system call.
// An idle process writes to ten sockets every two milliseconds, and reads at the other
// ends.
func BenchmarkRawCalls(b *testing.B) {
	for _, kind := range []struct {
		name        string
		read, write func(fd int, data []byte) (int, error)
	}{
		{"raw", rawRead, rawWrite},
		{"told", syscall.Read, syscall.Write},
	} {
		b.Run(kind.name, func(b *testing.B) {
			const sockets = 10
			var from, to [sockets]int
			for i := range sockets {
				from[i], to[i] = tcpPair(b)
			}
			data := make([]byte, 150)
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			before := processorTime(b)
			for b.Loop() {
				<-tick.C
				for i := range sockets {
					if _, err := kind.write(from[i], data); err != nil {
						b.Fatal(err)
					}
				}
				for i := range sockets {
					if _, err := kind.read(to[i], data); err != nil && !errors.Is(err, syscall.EAGAIN) {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N*sockets), "cpu-ns/message")
		})
	}
}

// tcpPair returns the descriptors of a TCP connection's two ends.
func tcpPair(b *testing.B) (from, to int) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	var fds [2]int
	for i, conn := range []net.Conn{client, server} {
		b.Cleanup(func() { _ = conn.Close() })
		if fds[i], err = descriptor(conn); err != nil {
			b.Fatal(err)
		}
	}
	return fds[0], fds[1]
}

// processorTime returns the CPU time of the process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
