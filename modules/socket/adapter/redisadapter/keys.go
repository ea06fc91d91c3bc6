package redisadapter

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// clusterShards is how many shards the rooms have on a cluster. It is the same
// for all nodes, ever: a room's channel depends on it.
const clusterShards = 32

// keys builds every channel name of this package.
type keys struct {
	prefix  string
	shards  int
	sharded bool // channels carry their shard as a hash tag
}

func newKeys(prefix string, clustered bool) keys {
	if clustered {
		return keys{prefix: prefix, shards: clusterShards, sharded: true}
	}
	return keys{prefix: prefix, shards: 1}
}

// shardOf is the shard of a room.
func (k keys) shardOf(room string) int {
	if !k.sharded {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(room)) // it never fails
	return int(h.Sum32() % uint32(k.shards))
}

// room is the channel of a room's envelopes: {prefix}:room:{room}, or on a
// cluster {prefix}:room:{{shard}}:{room}.
func (k keys) room(room string) string {
	if !k.sharded {
		return k.prefix + ":room:" + room
	}
	return k.prefix + ":room:" + tag(k.shardOf(room)) + ":" + room
}

// roomOf is the room of a channel.
func (k keys) roomOf(channel string) (room string, ok bool) {
	room, ok = strings.CutPrefix(channel, k.prefix+":room:")
	if ok && k.sharded {
		_, room, ok = strings.Cut(room, "}:")
	}
	return room, ok
}

// probe is a process's own channel in a shard.
func (k keys) probe(node string, sender uint64, shard int) string {
	channel := fmt.Sprintf("%s:probe:%s:%016x", k.prefix, node, sender)
	if k.sharded {
		channel += ":" + tag(shard)
	}
	return channel
}

// tag is what decides about a channel's slot.
func tag(shard int) string { return "{" + strconv.Itoa(shard) + "}" }
