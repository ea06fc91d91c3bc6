//go:build linux

package load

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stampSize is how much room a timestamp of the kernel takes.
var stampSize = unix.CmsgSpace(int(unsafe.Sizeof(unix.Timespec{})))

// stamp asks the kernel to tell when it has received what is read.
func (c *conn) stamp() error {
	return unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// readStamped reads like read(2) and tells when the kernel has received the
// last of it, by the loop's clock: this process may have waited for a processor
// since then.
func (l *loop) readStamped(c *conn) (n int, received int64, err error) {
	n, size, _, _, err := unix.Recvmsg(c.fd, l.buffer, l.stamps, 0)
	received = l.clock.Now()
	if err != nil || n <= 0 || size == 0 {
		return n, received, err
	}
	messages, err := unix.ParseSocketControlMessage(l.stamps[:size])
	if err != nil {
		return 0, 0, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			at := *(*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			received -= time.Now().UnixNano() - at.Nano()
		}
	}
	return n, received, nil
}
