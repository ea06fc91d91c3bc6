package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenTTL is the validity of a token of [Secret]. A token is used for half of this time,
// so that it does not expire during a call.
const tokenTTL = 10 * time.Minute

// Token returns a source that always returns the same token. When the token expires, calls
// fail with the code unauthenticated.
func Token(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// Secret returns a source that signs tokens of a back end with the server's auth.secret.
// name is the name of the back end, which events and the audit log show as the actor. calls
// restricts the token to some calls, such as groups:read; without calls, it may make all.
func Secret(secret, name string, calls ...string) TokenSource {
	scope := "admin"
	for _, call := range calls {
		scope += " " + call
	}
	var mu sync.Mutex
	var token string
	var until time.Time
	return func(context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(until) {
			signed, err := sign(secret, jwt.MapClaims{"sub": name, "scope": scope, "iat": now.Unix(), "exp": now.Add(tokenTTL).Unix()})
			if err != nil {
				return "", err
			}
			token, until = signed, now.Add(tokenTTL/2)
		}
		return token, nil
	}
}

// SignUser returns a token for a user's client, valid for ttl. name is what other members
// see; it may be empty. secret is the server's auth.secret.
func SignUser(secret, userID, name string, ttl time.Duration) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{"sub": userID, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	if name != "" {
		claims["name"] = name
	}
	return sign(secret, claims)
}

func sign(secret string, claims jwt.MapClaims) (string, error) {
	if len(secret) < 32 {
		return "", fmt.Errorf("the secret has %d bytes, and must have at least 32", len(secret))
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
}
