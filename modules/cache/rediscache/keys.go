package rediscache

import "fmt"

// keys builds every key and channel that this package uses.
type keys struct{ prefix string }

// entry holds one entry: see encode.
func (k keys) entry(key string) string { return k.prefix + ":cache:" + key }

// lease says which node loads an entry now. Entries and leases have names of
// their own, whatever a key holds.
func (k keys) lease(key string) string { return k.prefix + ":cache-lease:" + key }

// invalidations is the channel on which nodes tell what they invalidated:
// "<node> <revision> <key>".
func (k keys) invalidations() string { return k.prefix + ":cache:invalidate" }

// probe is a process's own channel, on which it publishes to itself.
func (k keys) probe(node string, process uint64) string {
	return fmt.Sprintf("%s:cache:probe:%s:%016x", k.prefix, node, process)
}
