package redisadapter

import (
	"fmt"
	"strings"
)

// keys builds every channel name of this package.
type keys struct {
	rooms string // what room channels begin with
	probe string // this process's own channel
}

func newKeys(prefix, node string, sender uint64) keys {
	return keys{
		rooms: prefix + ":room:",
		probe: fmt.Sprintf("%s:probe:%s:%016x", prefix, node, sender),
	}
}

// room is the channel of a room's envelopes: {prefix}:room:{room}.
func (k keys) room(room string) string { return k.rooms + room }

// roomOf is the room of a channel.
func (k keys) roomOf(channel string) (room string, ok bool) {
	return strings.CutPrefix(channel, k.rooms)
}
