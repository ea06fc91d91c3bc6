// Package durable measures what durable changes and catching up cost, against
// the bare SQL that writes and reads the same rows.
package durable
