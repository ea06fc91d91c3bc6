package engine

import (
	"syscall"
	"unsafe"
)

// The calls of this file are made without telling Go's scheduler, which is told
// of each one of package syscall's in case it takes long. These never do: no
// descriptor here blocks. The first call that the scheduler is told of after all
// of the process was idle wakes the thread that watches over such calls, which
// then looks again and again until the process is idle anew. In a server that
// sleeps between messages that is more than a tenth of its processor time: see
// BenchmarkRawCalls.

// rawRead is read(2).
func rawRead(fd int, data []byte) (int, error) { return rawCall(syscall.SYS_READ, fd, data) }

// rawWrite is write(2) of what a socket takes at once, which may be nothing.
func rawWrite(fd int, data []byte) (int, error) {
	n, err := rawCall(syscall.SYS_WRITE, fd, data)
	if err == syscall.EAGAIN { //nolint:errorlint // an errno as it came
		err = nil
	}
	return n, err
}

func rawCall(number uintptr, fd int, data []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// rawEpollWait is epoll_wait(2) without a wait: it returns how many of events
// there are.
func rawEpollWait(epoll int, events []syscall.EpollEvent) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
			uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			return 0
		}
	}
}
