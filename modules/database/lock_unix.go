//go:build unix

package database

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes a lock on f that ends with the process at the latest. It
// returns errLocked when another process has it.
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
