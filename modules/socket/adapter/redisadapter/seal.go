package redisadapter

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
)

// Key signs published messages and verifies received ones. Without the key, nobody can
// forge an envelope or move one to another channel. An empty key signs nothing and ignores
// signatures.
type Key []byte

// Signing is an adapter's policy for signatures.
type Signing struct {
	Key      Key
	Optional bool // also accept unsigned envelopes, because some nodes do not sign yet
}

// SigningSource returns the policy when an adapter begins, because the key may be in a
// database that is opened by then. If it is nil, nothing is signed.
type SigningSource func() (Signing, error)

// Always returns a source for a key that is already known.
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

// room returns how many bytes of a message the signature needs.
func (k Key) room() int {
	if len(k) == 0 {
		return 0
	}
	return sealSize
}

// seal signs a message. Its first bytes are reserved for the signature.
func (k Key) seal(channel string, wire []byte) {
	if len(k) == 0 {
		return
	}
	wire[0] = signedVersion
	copy(wire[1:sealSize], k.tag(channel, wire[sealSize:]))
}

// open verifies a message and returns its envelope.
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
