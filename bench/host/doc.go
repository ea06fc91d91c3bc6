// Package host runs the servers of the delivery benchmark as separate processes, and
// measures their use of the machine.
package host
