// Package durable measures the cost of durable changes and of catching up, compared with
// bare SQL that writes and reads the same rows.
package durable
