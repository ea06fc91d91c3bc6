// Package redisrole gives each use of Redis its client: the shared one, a
// dedicated one, or one that the embedding program already has. It knows
// servers, connections and who else is on them, and nothing of what the roles
// store or send.
package redisrole

// Role is one of the uses of Redis.
type Role string

// The roles.
const (
	Socket Role = "socket" // envelopes between nodes: pub/sub
	Group  Role = "group"  // live state: presence
	Cache  Role = "cache"  // copies of what SQL holds
)

// Roles returns every role, in the order in which they are reported.
func Roles() []Role { return []Role{Socket, Group, Cache} }

// Source says where a role's client comes from.
type Source string

// The sources.
const (
	None      Source = ""          // the role does not use Redis
	Shared    Source = "shared"    // redis.url's client, one for all roles without a URL of their own
	Dedicated Source = "dedicated" // a client of the role's own, from its own URL
	Given     Source = "given"     // the embedding program's: used and duplicated, never closed
)

// NodeID names this process to the servers and to the other nodes. It holds no
// spaces and no control characters.
type NodeID string
