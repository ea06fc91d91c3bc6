//go:build linux && (race || 386)

package nowait

import (
	"errors"
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
