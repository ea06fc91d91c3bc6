package childtest

import (
	"os/exec"
	"syscall"
)

// DieWithParent makes a process end when the test binary ends without a cleanup: after a
// panic, a timeout or a kill. Call it before the process starts.
func DieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
