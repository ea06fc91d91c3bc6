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
	if len(secret) < minSecret {
		return "", fmt.Errorf("the secret has %d bytes and must have at least %d", len(secret), minSecret)
	}
	if problem := checkUser(id.UserID); problem != "" {
		return "", errors.New("the user id " + problem)
	}
	if id.Expires.IsZero() {
		return "", errors.New("a token must expire")
	}
	c := jwt.MapClaims{
		"sub": id.UserID,
		"iat": time.Now().Unix(),
		"exp": id.Expires.Unix(),
	}
	if id.Name != "" {
		c["name"] = id.Name
	}
	if id.Admin {
		c["scope"] = "admin"
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}
