//go:build unix

package app

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups receives SIGHUP until release is called.
func hangups() (received <-chan os.Signal, release func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
