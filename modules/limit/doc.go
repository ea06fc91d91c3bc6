// Package limit bounds what one user, one address and one node can cost. A
// [Limits] holds the rates and caps of a node. The packages that serve clients
// ask it before they do something, and answer what it returns:
// fault.ErrRateLimited, with the time after which to try again.
//
// Rates are token buckets of golang.org/x/time/rate. They are kept on each node,
// so a user who is connected to three nodes has three times as much. The number of
// a user's sockets is counted in the whole cluster, if there is a [Census].
//
// A nil *Limits limits nothing.
package limit
