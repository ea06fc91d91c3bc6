// Package limit limits the cost of one user, one address and one node. A [Limits], made
// with [New], holds the rates and caps of a node. The packages that serve clients ask it
// before they do something, and pass its error to the client: fault.ErrRateLimited, with
// the time until the next try.
//
// Rates are token buckets of golang.org/x/time/rate. Each node has its own, so a user who
// is connected to three nodes can use three times the rate. A user's sockets are counted in
// the whole cluster if there is a [Census].
// a user's sockets is counted in the whole cluster, if there is a [Census].
//
// A nil *Limits limits nothing.
package limit
