package redispresence

// keys builds every key that this package uses.
type keys struct{ prefix string }

// group holds a group's users: a hash of user id -> ids of the nodes where he
// has a subscribed socket, divided by spaces. The hash tag keeps all that will
// be known of a group in one slot.
func (k keys) group(groupID string) string { return k.prefix + ":presence:{" + groupID + "}" }

// nodes is the sorted set of nodes by the end of their lease in milliseconds.
func (k keys) nodes() string { return k.prefix + ":presence:nodes" }

// node is the set of groups that a node has users in: where to look when it
// dies.
func (k keys) node(id string) string { return k.prefix + ":presence:node:" + id }
