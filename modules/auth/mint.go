package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Mint signs a token for id with an HS256 key of at least 32 bytes.
// id.Expires must be set.
func Mint(secret []byte, id Identity) (string, error) {
	return Config{Secret: string(secret)}.Mint(id)
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
	if id.Admin {
		claims["scope"] = "admin"
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
