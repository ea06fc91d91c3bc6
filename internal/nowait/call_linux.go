//go:build linux && !race && !386

// On 386 recvfrom(2) is no system call of its own.

package nowait

import (
	"syscall"
	"unsafe"
)

// Supported says whether the calls of this package work here.
const Supported = true

// Read is recv(2) of a socket that does not block, and Write send(2): with
// read(2) and write(2) the kernel takes a turn through what files need.
func Read(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_RECVFROM, fd, b) }

// Write is send(2) to a socket that does not block.
func Write(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_SENDTO, fd, b) }

// EpollWait is epoll_wait(2) without a wait: it returns how many of events
// there are.
func EpollWait(epoll uintptr, events []syscall.EpollEvent) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(unsafe.SliceData(events))),
			uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

func call(number, fd uintptr, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
