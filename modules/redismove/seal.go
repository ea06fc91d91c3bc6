package redismove

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// Secret encrypts the servers' URLs in SQL, because they may contain passwords.
type Secret struct {
	Key      string // auth.secret, which all nodes and the operator share
	Previous string // auth.secret.previous, which decrypts older URLs; may be empty
}

var (
	errNoSecret = errors.New("a move needs auth.secret, the same on every node: it encrypts the servers' URLs")
	errSealed   = errors.New("the server's URL cannot be read: the node and the operator have different values of auth.secret")
)

func newGCM(secret string) (cipher.AEAD, error) {
	if secret == "" {
		return nil, errNoSecret
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "moim redis move", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a URL for a move.
func (s Secret) seal(url, move string) (string, error) {
	gcm, err := newGCM(s.Key)
	if err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(gcm.Seal(nil, nil, []byte(url), []byte(move))), nil
}

// open decrypts the URL that seal encrypted for the same move.
func (s Secret) open(sealed, move string) (string, error) {
	url, err := openWith(s.Key, sealed, move)
	if err != nil && s.Previous != "" {
		return openWith(s.Previous, sealed, move)
	}
	return url, err
}

func openWith(secret, sealed, move string) (string, error) {
	gcm, err := newGCM(secret)
	if err != nil {
		return "", err
	}
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		return "", errSealed
	}
	url, err := gcm.Open(nil, nil, raw, []byte(move))
	if err != nil {
		return "", errSealed
	}
	return string(url), nil
}
