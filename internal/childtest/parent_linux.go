package childtest

import (
	"os/exec"
	"syscall"
)

// DieWithParent makes a process end with a test binary that ends without
// cleaning up: a panic, a timeout, a kill. Call it before the process starts.
func DieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
