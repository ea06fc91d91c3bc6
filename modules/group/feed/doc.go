// Package feed delivers the events of groups to the sockets that are subscribed
// on this node: each once, in order of version, without holes. Events of other
// nodes arrive through the adapter, which may lose or reorder them. The feed then
// reads what is missing from the log in SQL.
package feed
