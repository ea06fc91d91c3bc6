//go:build unix

package e2e

import (
	"os/exec"
	"syscall"
)

// asUser makes a command run as this user and group.
func asUser(cmd *exec.Cmd, id uint32) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
}
