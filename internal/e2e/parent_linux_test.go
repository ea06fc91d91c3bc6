package e2e

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes a process end with a test binary that ends without
// cleaning up: a panic, a timeout, a kill.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
