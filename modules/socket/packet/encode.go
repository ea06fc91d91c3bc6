package packet

import (
	"strconv"

	"github.com/moim-live/moim/internal/rawjson"
)

// Append appends the packet's wire form, without Engine.IO's type digit, to
// dst. Args and Data must be valid JSON.
func (p Packet) Append(dst []byte) []byte {
	dst = append(dst, byte('0'+p.Type))
	if p.Namespace != "/" && p.Namespace != "" {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	if p.Type != Event && p.Type != Ack {
		return append(dst, p.Data...)
	}
	dst = append(dst, '[')
	if p.Type == Event {
		dst = rawjson.AppendString(dst, p.Name)
	}
	for i, arg := range p.Args {
		if i > 0 || p.Type == Event {
			dst = append(dst, ',')
		}
		dst = append(dst, arg...)
	}
	return append(dst, ']')
}

// EventParts returns the wire form of an event of the main namespace in three
// parts, the second of which is data itself: so a broadcast copies it once,
// into its frame. Without data the event has no argument.
func EventParts(name string, data []byte) (head, body, tail []byte) {
	head = append(make([]byte, 0, len(name)+5), '2', '[')
	head = rawjson.AppendString(head, name)
	if len(data) > 0 {
		head = append(head, ',')
	}
	return head, data, closeArray
}

// AckParts returns what stands before and after the argument of an
// acknowledgement in the main namespace.
func AckParts(id uint64) (head, tail []byte) {
	head = strconv.AppendUint(append(make([]byte, 0, 12), '3'), id, 10)
	return append(head, '['), closeArray
}

var (
	closeArray  = []byte{']'}
	closeObject = []byte{'}'}
)
