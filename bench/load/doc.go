// Package load is the load generator of the delivery benchmark. One process with one thread
// and one epoll instance holds all client connections. It reads messages without
// allocating, and measures their number and latency. It knows WebSocket and Engine.IO's
// HTTP long polling, and knows about a server only what is in a [Session].
//
// The server and the generator share the machine. So the generator is a separate process
// ([Main]), whose processor time is not counted as the server's. A [Generator] controls it
// through its standard input.
package load
