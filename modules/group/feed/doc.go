// Package feed delivers the events of groups to the sockets that are subscribed on this
// node: each once, in order of version, without gaps. [Feed] is its main type. Events of
// other nodes arrive through the adapter, which may lose or reorder them. The feed reads
// missing events from the log in SQL.
package feed
