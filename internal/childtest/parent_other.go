//go:build !linux

package childtest

import "os/exec"

// DieWithParent does nothing: only Linux can tie a process to its parent.
func DieWithParent(*exec.Cmd) {}
