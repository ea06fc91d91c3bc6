package rediscache

import "fmt"

// keys returns the names of the keys and channels.
type keys struct{ prefix string }

// entry is the key of an entry: see encode.
func (k keys) entry(key string) string { return k.prefix + ":cache:" + key }

// lease is the key of the lease of the node that loads an entry. It differs from
// every entry's key.
func (k keys) lease(key string) string { return k.prefix + ":cache-lease:" + key }

// invalidations is the channel of invalidations: "<node> <revision> <key>".
func (k keys) invalidations() string { return k.prefix + ":cache:invalidate" }

// probe is the channel on which a process publishes to itself.
func (k keys) probe(node string, process uint64) string {
	return fmt.Sprintf("%s:cache:probe:%s:%016x", k.prefix, node, process)
}
