package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Mint signs a token for id with an HS256 key of at least 32 bytes.
// id.Expires must be set.
func Mint(secret []byte, id Identity) (string, error) {
	return Config{Secret: string(secret)}.Mint(id)
}

// scopeOf returns the scope of a token as text.
func scopeOf(id Identity) string {
	if id.Admin {
		return "admin " + id.Calls.String()
	}
	return id.Calls.String()
}

// WithScope returns id with the permissions of a scope, a list of words separated by
// spaces. It returns an error for an unknown word.
func (id Identity) WithScope(scope string) (Identity, error) {
	words := strings.Fields(scope)
	id.Admin, id.Calls = slices.Contains(words, "admin"), parseCalls(words)
	for _, word := range words {
		if word != "admin" && !slices.Contains(callWords[:], word) {
			return id, fmt.Errorf("there is no scope %q: it is admin, or some of %s", word, strings.Join(callWords[:], ", "))
		}
	}
	return id, nil
}

// Mint signs a token for id with c.Secret. A [Verifier] with the same settings
// accepts it. id.Expires must be set.
func (c Config) Mint(id Identity) (string, error) {
	if len(c.Secret) < minSecret {
		return "", fmt.Errorf("the secret has %d bytes and must have at least %d", len(c.Secret), minSecret)
	}
	if problem := checkUser(id.UserID); problem != "" {
		return "", errors.New("the user id " + problem)
	}
	if id.Expires.IsZero() {
		return "", errors.New("a token must expire")
	}
	claims := jwt.MapClaims{
		"sub": id.UserID,
		"iat": time.Now().Unix(),
		"exp": id.Expires.Unix(),
	}
	if id.Name != "" {
		claims["name"] = id.Name
	}
	if scope := strings.Fields(scopeOf(id)); len(scope) > 0 {
		claims["scope"] = strings.Join(scope, " ")
	}
	if c.Issuer != "" {
		claims["iss"] = c.Issuer
	}
	if c.Audience != "" {
		claims["aud"] = c.Audience
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(c.Secret))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}
