//go:build unix

package database

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks f. It returns errLocked if another process holds the lock. The system
// unlocks f when the process ends.
func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		case errors.Is(err, syscall.EINTR):
			continue
		}
		return err
	}
}
