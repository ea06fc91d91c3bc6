//go:build !unix

package nowait

import "syscall"

// Supported says whether the calls of this package work here.
const Supported = false

// Read does not work here.
func Read(uintptr, []byte) (int, error) { return 0, syscall.ENOSYS }

// Write does not work here.
func Write(uintptr, []byte) (int, error) { return 0, syscall.ENOSYS }
