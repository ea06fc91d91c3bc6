//go:build !linux

package childtest

import "os/exec"

// DieWithParent does nothing, because only Linux supports this.
func DieWithParent(*exec.Cmd) {}
