//go:build unix

package e2e

import "syscall"

// Pause stops the process with SIGSTOP until Resume.
func (n *node) Pause() { n.Signal(syscall.SIGSTOP) }

// Resume continues a paused process. It may be called twice.
func (n *node) Resume() { n.Signal(syscall.SIGCONT) }
