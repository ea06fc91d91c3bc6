//go:build unix

package processors

import (
	"syscall"
	"time"
)

// usage returns the processor time that the process has used, and when that
// was.
func usage() (time.Duration, time.Time, bool) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), time.Now(), err == nil
}
