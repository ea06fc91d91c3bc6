package auth

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// milliseconds is a number from which a date must be in milliseconds: in seconds, it would
// be after the year 5138.
const milliseconds = 1e11

// claims are the claims of a token. The library checks the times.
type claims struct {
	jwt.RegisteredClaims

	name   string
	scopes []string
}

// UnmarshalJSON implements json.Unmarshaler. Package json would accept names that differ in
// case, and repeated names: "Scope" and "ſcope" would count as scope. Here, names must be
// exact and must not repeat.
func (c *claims) UnmarshalJSON(data []byte) error {
	members, err := object(data)
	if err != nil {
		return err
	}
	var audience, scope []string
	for _, claim := range []struct {
		name string
		into any
	}{
		{"sub", &c.Subject},
		{"name", &c.name},
		{"iss", &c.Issuer},
		{"aud", &audience},
		{"scope", &scope},
		{"exp", &c.ExpiresAt},
		{"nbf", &c.NotBefore},
		{"iat", &c.IssuedAt},
	} {
		raw, there := members[claim.name]
		if !there || string(raw) == "null" {
			continue
		}
		if problem := decode(raw, claim.into); problem != "" {
			return refuse("the token's " + claim.name + " " + problem)
		}
	}
	c.Audience = audience
	for _, words := range scope {
		c.scopes = append(c.scopes, strings.Fields(words)...)
	}
	return nil
}

// decode decodes the value of a claim. It returns what is wrong with it.
func decode(raw json.RawMessage, into any) (problem string) {
	var err error
	switch into := into.(type) {
	case **jwt.NumericDate:
		*into, problem = parseDate(raw)
		return problem
	case *[]string:
		if raw[0] == '[' {
			err = json.Unmarshal(raw, into)
		} else {
			*into = []string{""}
			err = json.Unmarshal(raw, &(*into)[0])
		}
		problem = "must be text or a list of texts"
	default:
		err = json.Unmarshal(raw, into)
		problem = "must be text"
	}
	if err == nil {
		return ""
	}
	return problem
}

// object returns the members of a JSON object. Repeated names are an error.
func object(data []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, refuse(unreadable)
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, refuse(unreadable)
		}
		if _, twice := members[name]; twice {
			return nil, refuse("the token has a claim twice")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, refuse(unreadable)
		}
		members[name] = value
	}
	return members, nil
}

// parseDate parses a date in seconds since 1970 (RFC 7519, section 2), or returns what is
// wrong with it.
func parseDate(raw json.RawMessage) (at *jwt.NumericDate, problem string) {
	var seconds float64
	switch err := json.Unmarshal(raw, &seconds); {
	case err != nil:
		return nil, "must be a number of seconds since 1970"
	case seconds >= milliseconds:
		return nil, "must be in seconds since 1970, not in milliseconds"
	case seconds < 0:
		return nil, "is before 1970"
	}
	return &jwt.NumericDate{Time: time.UnixMicro(int64(seconds * 1e6))}, ""
}
