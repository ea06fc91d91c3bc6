//go:build !unix

package e2e

import "os/exec"

// asUser does nothing, because the test that needs it runs only on Linux.
func asUser(*exec.Cmd, uint32) {}
