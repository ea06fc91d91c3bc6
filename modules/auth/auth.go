// Package auth turns tokens into identities. It knows JSON Web Tokens and
// nothing of HTTP, sockets or groups.
package auth

import "time"

// Identity is who a request or a socket speaks for.
type Identity struct {
	UserID  string    // the token's sub
	Name    string    // the token's name, possibly empty
	Admin   bool      // the token's scope holds admin: an application's back end
	Expires time.Time // the token's exp
}
