// Package auth verifies JSON Web Tokens (RFC 7519) and returns identities. Create a
// [Verifier] with [New]. The package knows no sockets, no groups, and no HTTP except to
// fetch keys.
package auth

import "time"

// Identity is the user or the back end that a token belongs to.
type Identity struct {
	UserID  string    // the token's sub
	Name    string    // the token's name; may be empty
	Admin   bool      // the token's scope contains admin: an application's back end
	Expires time.Time // the token's exp
	Issued  time.Time // the token's iat; zero if it has none
	Calls   Calls     // if not zero, the only calls that the token may make
}
