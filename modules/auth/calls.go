package auth

import (
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// Calls are kinds of calls. A token whose scope names some may make no others. Zero means
// all of them.
type Calls uint8

// The kinds of calls.
const (
	ReadGroups Calls = 1 << iota
	WriteGroups
	WriteMembers
	WriteMessages
	SendSignals
	WriteUsers
	ReadAudit
	ReadNodes
)

// callWords are the words of scope, in the order of the constants.
var callWords = [...]string{"groups:read", "groups:write", "members:write", "messages:write", "signals:write", "users:write", "audit:read", "nodes:read"}

// parseCalls returns the calls that a scope names. It ignores other words: scopes of an
// identity provider often have some.
func parseCalls(scope []string) (c Calls) {
	for _, word := range scope {
		for i, known := range callWords {
			if word == known {
				c |= 1 << i
			}
		}
	}
	return c
}

// String returns the words of the calls.
func (c Calls) String() string {
	var words []string
	for i, word := range callWords {
		if c&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// Check returns fault.ErrForbidden if the identity's token may not make a call.
func (id Identity) Check(call Calls) error {
	if id.Calls == 0 || id.Calls&call != 0 {
		return nil
	}
	return fault.ErrForbidden.WithMessage(fmt.Sprintf("the scope of the token is %q, which does not include %s", id.Calls, call))
}
