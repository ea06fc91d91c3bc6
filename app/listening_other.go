//go:build !linux

package app

import "os"

// listens cannot find out on this system. Only on Linux does a service manager pass
// sockets.
func listens(*os.File) bool { return true }
