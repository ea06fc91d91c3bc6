package engine

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
)

// ids makes session ids as Node's base64id does: 15 bytes, the last four a
// counter, in URL-safe base64. They are secrets.
type ids struct{ count atomic.Uint32 }

func (i *ids) next() string {
	var raw [15]byte
	_, _ = rand.Read(raw[:]) // never fails
	binary.BigEndian.PutUint32(raw[11:], i.count.Add(1)-1)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
