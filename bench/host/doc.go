// Package host runs the servers of the delivery bench as processes of their
// own, and tells what of the machine they use.
package host
