package redispresence

import "strings"

// keys builds every key that this package uses.
type keys struct{ prefix string }

// group returns the keys of a group; see group.lua. The hash tag puts them into one slot.
// The epoch separates them from older data, written before the server lost its list of
// nodes.
func (k keys) group(groupID, epoch string) []string {
	users := k.users(groupID, epoch)
	return []string{users, users + ":graces", users + ":reasons", users + ":states", users + ":lately", users + ":ended"}
}

// users is the hash of a group's users: user id -> ids of the nodes where they
// have a subscribed socket, separated by spaces.
func (k keys) users(groupID, epoch string) string {
	return k.prefix + ":presence:{" + groupID + "}:" + epoch
}

// groupOf returns the group that a key belongs to, or "".
func (k keys) groupOf(key string) string {
	rest, is := strings.CutPrefix(key, k.prefix+":presence:{")
	end := strings.LastIndex(rest, "}:")
	if !is || end < 0 {
		return ""
	}
	return rest[:end]
}

// nodes is the key of the hash of nodes and their leases; see renew.lua.
func (k keys) nodes() string { return k.prefix + ":presence:nodes" }

// node is the key of the set of groups where a node has users or watches graces. The node
// that sweeps it reads this set.
func (k keys) node(id string) string { return k.prefix + ":presence:node:" + id + ":groups" }
