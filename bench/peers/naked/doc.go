// Package naked is a minimal server, as a lower bound for the cost of any server: it builds
// a frame once and writes it to each member of the room with one write(2). It checks
// nothing, stores nothing and never drops a client.
package naked
