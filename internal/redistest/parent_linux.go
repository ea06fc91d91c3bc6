package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the server end with a test binary that ends without
// cleaning up: a panic, a timeout, a kill.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
