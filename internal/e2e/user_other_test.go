//go:build !unix

package e2e

import "os/exec"

// asUser does nothing: the test that needs it is for Linux.
func asUser(*exec.Cmd, uint32) {}
