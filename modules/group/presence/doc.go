// Package presence knows which members of a group are online: who has a subscribed
// socket on any node. It tells the group's subscribers of changes, and of how far
// members have read. It stores nothing in SQL. An [Observer] may.
package presence
