// Package presence tracks which members of a group are online: those with a subscribed
// socket on any node. [Tracker] reports changes to the group's subscribers, and [Marks]
// reports how far members have read. The package stores nothing in SQL; an [Observer] may.
package presence
