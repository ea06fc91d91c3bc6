package redispresence

// keys builds every key that this package uses.
type keys struct{ prefix string }

// group returns what is known of a group; see group.lua. The hash tag keeps it
// in one slot; the epoch leaves behind what was written before the server
// forgot who the nodes are.
func (k keys) group(groupID, epoch string) []string {
	users := k.users(groupID, epoch)
	return []string{users, users + ":graces", users + ":reasons", users + ":states", users + ":lately"}
}

// users is the hash of a group's users: user id -> ids of the nodes where they
// have a subscribed socket, divided by spaces.
func (k keys) users(groupID, epoch string) string {
	return k.prefix + ":presence:{" + groupID + "}:" + epoch
}

// nodes is the hash of nodes and their leases; see renew.lua.
func (k keys) nodes() string { return k.prefix + ":presence:nodes" }

// node is the set of groups that a node has users in, or waits for users of:
// where to look when it dies.
func (k keys) node(id string) string { return k.prefix + ":presence:node:" + id + ":groups" }
