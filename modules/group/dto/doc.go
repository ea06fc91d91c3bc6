// Package dto holds what clients may ask of groups: the requests, how they are
// read from JSON, and the bounds that they keep.
//
// A request never fails while it is read. It remembers its mistakes, and
// Validate reports all of them at once, each with its field, so that HTTP and
// sockets answer the same. A program may also fill in a request itself.
package dto
