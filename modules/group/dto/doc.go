// Package dto defines the requests that clients may send about groups, how they are read
// from JSON, and their limits.
//
// Reading a request never fails. The request records its mistakes, and Validate returns all
// of them at once, each with its field, so HTTP and sockets answer the same. A program may
// also fill in a request itself.
package dto
