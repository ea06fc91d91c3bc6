//go:build !unix

package e2e

// Pause skips the test, because this system cannot pause processes.
func (n *node) Pause() { n.t.Skip("no process can be paused on this system") }

// Resume does nothing.
func (n *node) Resume() {}
