//go:build !unix

package app

import "os"

// hangups receives nothing, because the system has no SIGHUP.
func hangups() (received <-chan os.Signal, release func()) { return nil, func() {} }
