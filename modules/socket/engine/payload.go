package engine

import (
	"bytes"
	"encoding/base64"
)

// separator separates the packets of a payload: what a polling request carries.
const separator = '\x1e'

// appendPackets appends a frame's packets to a payload. Polling carries text only:
// a binary message becomes "b" and base64.
func appendPackets(payload []byte, f *Frame) []byte {
	f.messages(func(kind opcode, message []byte) {
		if len(payload) > 0 {
			payload = append(payload, separator)
		}
		if kind == opBinary {
			payload = base64.StdEncoding.AppendEncode(append(payload, 'b'), message)
		} else {
			payload = append(payload, message...)
		}
	})
	return payload
}

// decodePacket decodes one packet of a payload. It reports false for invalid
// base64.
func decodePacket(packet []byte) (kind opcode, data []byte, ok bool) {
	encoded, binary := bytes.CutPrefix(packet, []byte{'b'})
	if !binary {
		return opText, packet, true
	}
	data, err := base64.StdEncoding.AppendDecode(nil, encoded)
	return opBinary, data, err == nil
}
