package app

import (
	"os"
	"syscall"
)

// listens reports whether a socket accepts connections.
func listens(socket *os.File) bool {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	accepts := 0
	failed := raw.Control(func(fd uintptr) {
		accepts, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	})
	return failed == nil && err == nil && accepts != 0
}
