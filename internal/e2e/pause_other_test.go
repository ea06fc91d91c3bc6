//go:build !unix

package e2e

// Pause skips the test: processes cannot be made to stand still here.
func (n *node) Pause() { n.t.Skip("no process can be paused on this system") }

// Resume does nothing.
func (n *node) Resume() {}
