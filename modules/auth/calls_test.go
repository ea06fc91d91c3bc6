package auth_test

import (
	"testing"

	"github.com/moim-live/moim/modules/auth"
)

// TestConsole checks that the scope console.read is valid only in the console, and makes a token
// read-only there.
func TestConsole(t *testing.T) {
	t.Parallel()
	all := []auth.Calls{auth.ReadGroups, auth.WriteGroups, auth.WriteMembers, auth.WriteMessages, auth.SendSignals, auth.WriteUsers, auth.ReadAudit, auth.ReadNodes}
	for scope, want := range map[string]struct{ enters, readOnly bool }{
		"":                             {},
		"groups:read":                  {},
		"admin":                        {enters: true},
		"admin groups:read":            {enters: true, readOnly: true},
		"admin audit:read users:write": {enters: true},
		"console.read":                 {enters: true, readOnly: true},
		"admin console.read":           {enters: true, readOnly: true},
		"console.read groups:write":    {enters: true, readOnly: true},
	} {
		id, err := auth.Identity{UserID: "ops"}.WithScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		inside, err := id.Console()
		if (err == nil) != want.enters || inside.Admin != want.enters || err == nil && inside.ReadOnly() != want.readOnly {
			t.Errorf("%q: %+v, %v", scope, inside, err)
		}
		if scope != "console.read" {
			continue
		}
		for _, call := range all {
			if id.Check(call) == nil || id.Admin {
				t.Errorf("a token with %q alone may %s", scope, call)
			}
		}
	}
}
