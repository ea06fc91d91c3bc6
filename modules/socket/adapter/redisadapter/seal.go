package redisadapter

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
)

// Key signs what is published and verifies what is received. Without the key
// nobody can forge an envelope, or move one to another channel. An empty key
// signs nothing and ignores signatures.
type Key []byte

// Signing is how an adapter signs.
type Signing struct {
	Key      Key
	Optional bool // unsigned envelopes are taken, too: some nodes do not sign yet
}

// SigningSource returns how to sign when an adapter begins: the key may be in a
// database that is open by then. Nil: nothing is signed.
type SigningSource func() (Signing, error)

// Always returns the source of a key that is known before.
func (k Key) Always() SigningSource { return func() (Signing, error) { return Signing{Key: k}, nil } }

// A signed envelope is
//
//	version  1 byte
//	tag      16 bytes: of HMAC-SHA256 over the channel, a zero byte and what follows
//	envelope as without a signature
const (
	signedVersion = 2
	tagSize       = 16
	sealSize      = 1 + tagSize
)

var errForged = errors.New("not signed with this deployment's key: see redis.socket.hmac")

// room returns how many bytes of a message the signature takes.
func (k Key) room() int {
	if len(k) == 0 {
		return 0
	}
	return sealSize
}

// seal signs a message whose first bytes are left for the signature.
func (k Key) seal(channel string, wire []byte) {
	if len(k) == 0 {
		return
	}
	wire[0] = signedVersion
	copy(wire[1:sealSize], k.tag(channel, wire[sealSize:]))
}

// open returns the envelope in a message.
func (s Signing) open(channel, wire string) (string, error) {
	signed := len(wire) >= sealSize && wire[0] == signedVersion
	switch {
	case !signed && (s.Optional || len(s.Key) == 0):
		return wire, nil
	case signed && len(s.Key) == 0,
		signed && hmac.Equal([]byte(wire[1:sealSize]), s.Key.tag(channel, []byte(wire[sealSize:]))):
		return wire[sealSize:], nil
	default:
		return "", errForged
	}
}

func (k Key) tag(channel string, envelope []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(channel))
	h.Write([]byte{0})
	h.Write(envelope)
	return h.Sum(make([]byte, 0, sha256.Size))[:tagSize]
}
