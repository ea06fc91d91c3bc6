// Package moim runs Moim's own binary for the delivery bench, as its users run
// it: tokens are checked, groups and memberships are real and were made over
// its HTTP API, clients come through the Socket.IO endpoint, and what is delivered
// is a signal, or a message that is stored.
package moim
