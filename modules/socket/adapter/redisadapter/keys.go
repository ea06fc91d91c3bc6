package redisadapter

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// clusterShards is the number of shards on a cluster. It must never change, because a
// room's channel depends on it.
const clusterShards = 32

// keys builds every channel name of this package.
type keys struct {
	prefix  string
	shards  int
	sharded bool // channels have a hash tag with their shard
}

func newKeys(prefix string, clustered bool) keys {
	if clustered {
		return keys{prefix: prefix, shards: clusterShards, sharded: true}
	}
	return keys{prefix: prefix, shards: 1}
}

// shardOf returns the shard of a room.
func (k keys) shardOf(room string) int {
	if !k.sharded {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(room)) // never fails
	return int(h.Sum32() % uint32(k.shards))
}

// room returns the channel of a room: {prefix}:room:{room}, or on a cluster
// {prefix}:room:{{shard}}:{room}.
func (k keys) room(room string) string {
	if !k.sharded {
		return k.prefix + ":room:" + room
	}
	return k.prefix + ":room:" + tag(k.shardOf(room)) + ":" + room
}

// roomOf returns the room of a channel.
func (k keys) roomOf(channel string) (room string, ok bool) {
	room, ok = strings.CutPrefix(channel, k.prefix+":room:")
	if ok && k.sharded {
		_, room, ok = strings.Cut(room, "}:")
	}
	return room, ok
}

// probe returns the channel of this process alone, in a shard.
func (k keys) probe(node string, sender uint64, shard int) string {
	channel := fmt.Sprintf("%s:probe:%s:%016x", k.prefix, node, sender)
	if k.sharded {
		channel += ":" + tag(shard)
	}
	return channel
}

// tag returns the hash tag of a shard. It decides the slot.
func tag(shard int) string { return "{" + strconv.Itoa(shard) + "}" }
