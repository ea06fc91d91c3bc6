//go:build unix

package e2e

import "syscall"

// Pause makes the process stand still until Resume.
func (n *node) Pause() { n.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on. It may be called twice.
func (n *node) Resume() { n.Signal(syscall.SIGCONT) }
