// Package moim runs Moim's own binary for the delivery benchmark, as users run it: tokens
// are checked, groups and memberships are created over the HTTP API, and clients use the
// Socket.IO endpoint. It delivers signals, or stored messages.
package moim
