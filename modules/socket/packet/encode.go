package packet

import (
	"strconv"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Append appends the encoded packet to dst, without Engine.IO's type digit. Args and Data
// must be valid JSON. The attachments are sent afterwards, in separate messages.
func (p Packet) Append(dst []byte) []byte {
	dst = appendHead(dst, p.Type, len(p.Binary), p.Namespace)
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

func appendHead(dst []byte, t Type, attachments int, namespace string) []byte {
	if attachments > 0 {
		t += binaryEvent - Event
	}
	dst = append(dst, byte('0'+t))
	if attachments > 0 {
		dst = append(strconv.AppendInt(dst, int64(attachments), 10), '-')
	}
	if namespace != "/" && namespace != "" {
		dst = append(append(dst, namespace...), ',')
	}
	return dst
}

// EventParts encodes an event as three parts. body is args, encoded and separated by
// commas, so a broadcast copies them only once, into its frame. An id asks for an
// acknowledgement.
func EventParts(namespace, name string, args []byte, attachments int, id ...uint64) (head, body, tail []byte) {
	head = appendHead(make([]byte, 0, len(namespace)+len(name)+8), Event, attachments, namespace)
	for _, id := range id {
		head = strconv.AppendUint(head, id, 10)
	}
	head = rawjson.AppendString(append(head, '['), name)
	if len(args) > 0 {
		head = append(head, ',')
	}
	return head, args, closeArray
}

// AckParts returns the parts of an acknowledgement before and after its arguments.
func AckParts(namespace string, id uint64, attachments int) (head, tail []byte) {
	head = appendHead(make([]byte, 0, len(namespace)+16), Ack, attachments, namespace)
	return append(strconv.AppendUint(head, id, 10), '['), closeArray
}

var (
	closeArray  = []byte{']'}
	closeObject = []byte{'}'}
)
