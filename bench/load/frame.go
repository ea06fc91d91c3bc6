//go:build linux

package load

import "encoding/binary"

// The opcodes that matter here.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// nextFrame reads the frame that data begins with: its opcode, its payload,
// which is a part of data, and how many bytes it takes. ok is false while the
// frame is not complete. A server's frames are not masked.
func nextFrame(data []byte) (op byte, payload []byte, size int, ok bool) {
	if len(data) < 2 {
		return 0, nil, 0, false
	}
	head, length := 2, uint64(data[1]&0x7f)
	switch length {
	case 126:
		if head = 4; len(data) < head {
			return 0, nil, 0, false
		}
		length = uint64(binary.BigEndian.Uint16(data[2:]))
	case 127:
		if head = 10; len(data) < head {
			return 0, nil, 0, false
		}
		length = binary.BigEndian.Uint64(data[2:])
	}
	if length > uint64(len(data)-head) {
		return 0, nil, 0, false
	}
	size = head + int(length)
	return data[0] & 0x0f, data[head:size], size, true
}

// frameOf makes a client's frame. Its mask is zero, which leaves the payload
// as it is.
func frameOf(op byte, payload string) []byte {
	dst := append(make([]byte, 0, len(payload)+14), 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}
