package redispresence

// keys builds every key that this package uses.
type keys struct{ prefix string }

// group holds a group's users: a hash of user id -> ids of the nodes where he
// has a subscribed socket, divided by spaces. The hash tag keeps all that will
// be known of a group in one slot; the epoch leaves behind what was written
// before the server forgot who the nodes are.
func (k keys) group(groupID, epoch string) string {
	return k.prefix + ":presence:{" + groupID + "}:" + epoch
}

// nodes is the hash of nodes and their leases; see renew.lua.
func (k keys) nodes() string { return k.prefix + ":presence:nodes" }

// node is the set of groups that a node has users in: where to look when it
// dies.
func (k keys) node(id string) string { return k.prefix + ":presence:node:" + id + ":groups" }
