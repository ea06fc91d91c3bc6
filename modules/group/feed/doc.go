// Package feed delivers the events of groups to the sockets that are subscribed
// on this node: each once, in order of version, without holes. The log in SQL is
// the truth; what other nodes publish only says when to look.
package feed
