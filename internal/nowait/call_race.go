//go:build linux && (race || 386)

package nowait

import (
	"errors"
	"net/netip"
	"syscall"
)

// EpollWait is epoll_wait(2) without a wait: it returns how many of events
// there are.
func EpollWait(epoll uintptr, events []syscall.EpollEvent) (int, error) {
	for {
		n, err := syscall.EpollWait(int(epoll), events, 0)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}

// accept4 is accept4(2) for a connection that does not block.
func accept4(listener uintptr) (fd int, remote netip.AddrPort, err error) {
	fd, addr, err := syscall.Accept4(int(listener), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	return fd, addrPort(addr), err
}
