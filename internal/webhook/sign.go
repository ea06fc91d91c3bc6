// Package webhook posts signed JSON to an application's receivers, according to the
// Standard Webhooks specification, and restricts their addresses. See [Client]. The package
// knows neither the content nor whether a request is a repeat.
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The headers of a request in the Standard Webhooks specification.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

const (
	secretPrefix = "whsec_"
	// The specification recommends keys of these lengths.
	minKey, maxKey = 24, 64
)

var errSecret = errors.New("must be whsec_ and the base64 of 24 to 64 bytes")

// NewSecret returns a random secret.
func NewSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// CheckSecret returns what is wrong with a secret, or nil.
func CheckSecret(secret string) error {
	// The base64 decoder ignores line ends, so a secret could have any number of them.
	if strings.ContainsAny(secret, "\r\n") {
		return errSecret
	}
	_, err := keyOf(secret)
	return err
}

// keyOf returns the key in a secret.
func keyOf(secret string) ([]byte, error) {
	text, prefixed := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !prefixed || len(key) < minKey || len(key) > maxKey {
		return nil, errSecret
	}
	return key, nil
}

// sign returns the signatures of a body, one for each secret.
func sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		key, err := keyOf(secret)
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " "), nil
}
