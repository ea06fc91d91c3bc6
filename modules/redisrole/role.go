// Package redisrole provides the Redis client of each role. A role is one use of Redis. Its
// client is the shared one, a dedicated one, or one of the embedding program. The main
// types are [Clients] and [Registry]. The package manages servers, connections and the
// leases of nodes. It does not know what the roles store or send.
package redisrole

// Role is one of the uses of Redis.
type Role string

// The roles.
const (
	Socket Role = "socket" // envelopes between nodes: pub/sub
	Group  Role = "group"  // live state: presence
	Cache  Role = "cache"  // copies of what SQL holds
)

// Roles returns all roles in a fixed order.
func Roles() []Role { return []Role{Socket, Group, Cache} }

// Source is where a role's client comes from.
type Source string

// The sources.
const (
	None      Source = ""          // the role does not use Redis
	Shared    Source = "shared"    // the client of redis.url, for all roles without a URL of their own
	Dedicated Source = "dedicated" // the client of the role's own URL
	Given     Source = "given"     // the embedding program's client, which Moim never closes
)

// NodeID identifies this process on the servers and for other nodes. It contains no spaces
// and no control characters.
type NodeID string
