// Package presence knows who of a group's members is there: who has a subscribed
// socket on any node. It tells the group's subscribers of changes, and keeps
// nothing in SQL.
package presence
