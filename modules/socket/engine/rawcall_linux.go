package engine

import (
	"syscall"
	"unsafe"
)

// Package syscall notifies Go's scheduler of each call, in case it blocks. These calls do
// without, because they never block: every descriptor here is non-blocking. In an idle
// process, the first call with a notification wakes the runtime's monitor thread, which
// then polls until the process is idle again. For a server with little traffic that is over
// a tenth of its CPU time: see BenchmarkRawCalls.

// rawRead is read(2).
func rawRead(fd int, data []byte) (int, error) {
	return rawCall(syscall.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(data)), len(data))
}

// rawWrite is write(2). It returns 0 if the socket buffer is full.
func rawWrite(fd int, data []byte) (int, error) {
	n, err := rawCall(syscall.SYS_WRITE, fd, unsafe.Pointer(unsafe.SliceData(data)), len(data))
	if err == syscall.EAGAIN { //nolint:errorlint // a plain errno
		err = nil
	}
	return n, err
}

// rawEpollWait is epoll_wait(2) with a timeout of 0. It returns the number of
// events.
func rawEpollWait(epoll int, events []syscall.EpollEvent) int {
	n, _ := rawCall(syscall.SYS_EPOLL_PWAIT, epoll, unsafe.Pointer(unsafe.SliceData(events)), len(events))
	return n
}

func rawCall(number uintptr, fd int, data unsafe.Pointer, size int) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(data), uintptr(size), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
