// Package naked is the floor that no server can be below: it builds a frame
// once and writes it to each member of the room with one write(2). It checks
// nothing, keeps nothing and drops nobody.
package naked
