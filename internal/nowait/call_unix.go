//go:build unix && (!linux || race || 386)

package nowait

import (
	"errors"
	"syscall"
)

// Supported says whether the calls of this package work here.
const Supported = true

// Read is read(2) of a socket that does not block.
func Read(fd uintptr, b []byte) (int, error) { return again(syscall.Read, fd, b) }

// Write is write(2) to a socket that does not block.
func Write(fd uintptr, b []byte) (int, error) { return again(syscall.Write, fd, b) }

func again(call func(fd int, b []byte) (int, error), fd uintptr, b []byte) (int, error) {
	for {
		n, err := call(int(fd), b)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
