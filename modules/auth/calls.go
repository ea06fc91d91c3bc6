package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// Calls is a set of kinds of calls. If a token's scope names some, the token can make no
// others. Zero means all.
type Calls uint16

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
	ReadHooks
	WriteHooks

	// ReadConsole is not a call of the API: see [Identity.Console].
	ReadConsole

	// ReadPeople allows reading the lists of requests, invites and bans, but not changing
	// them. No word of a scope grants it. [WriteMembers] allows this, too.
	ReadPeople
)

// callWords are the words in a scope, in the order of the constants.
var callWords = [...]string{"groups:read", "groups:write", "members:write", "messages:write", "signals:write", "users:write", "audit:read", "nodes:read", "hooks:read", "hooks:write", "console.read"}

// parseCalls returns the calls that a scope names. It ignores other words, which an
// identity provider may add.
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

// misspelled returns a word of a scope that looks like a misspelled word for calls, such as
// group:read, or "". If it were ignored, the token could make all calls.
func misspelled(scope []string) string {
	for _, word := range scope {
		resource, _, is := strings.Cut(word, ":")
		if !is || slices.Contains(callWords[:], word) {
			continue
		}
		resource = strings.TrimSuffix(strings.ToLower(resource), "s")
		if slices.ContainsFunc(callWords[:], func(known string) bool {
			return strings.HasPrefix(known, resource+"s:") || strings.HasPrefix(known, resource+":")
		}) {
			return word
		}
	}
	return ""
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

// writing are the calls that change something.
const writing = WriteGroups | WriteMembers | WriteMessages | SendSignals | WriteUsers | WriteHooks

// ReadOnly reports whether the identity's token can change nothing.
func (id Identity) ReadOnly() bool { return id.Calls != 0 && id.Calls&writing == 0 }

// Console returns the identity with which the console makes calls. A token with the scope
// console.read can read, in the console only, what a back end can read. Console returns
// fault.ErrForbidden for a user's token.
func (id Identity) Console() (Identity, error) {
	switch {
	case id.Calls&ReadConsole != 0:
		id.Admin, id.Calls = true, ReadGroups|ReadAudit|ReadNodes|ReadHooks|ReadPeople
		return id, nil
	case id.Admin:
		return id, nil
	}
	return Identity{}, fault.ErrForbidden.WithMessage("this is the token of a user: the console needs a back end's, whose scope contains admin, or console.read to look only")
}
