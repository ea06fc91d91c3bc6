// Package load is the load generator of the delivery bench: one process, one
// thread and one epoll hold all client connections, read what comes without
// allocating, and count messages and how long they were on their way. It knows
// WebSocket and Engine.IO's HTTP long polling, and of a server only what a
// [Session] says.
//
// Server and generator share the machine, so the generator is a process of its
// own ([Main]), driven through its standard input by a [Generator]: what it
// uses of the processor is not the server's.
package load
