package hook

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
)

// TestAuditHasNoSecrets checks that audit entries do not contain a hook's secrets. Readers
// of the audit log must not be able to sign deliveries.
func TestAuditHasNoSecrets(t *testing.T) {
	t.Parallel()
	before := Hook{Name: "billing", URL: "https://example.org/hook?key=hunter2", Events: []string{"*"}, Secret: "whsec_hunter3"}
	after := before
	after.URL, after.Secret = "https://example.org/hook?key=hunter4", "whsec_hunter5"
	e, err := newEntry(t.Context(), auth.Identity{UserID: "ops"}, "update-hook", &before, &after)
	if err != nil {
		t.Fatal(err)
	}
	const was = `{"hook":{"enabled":false,"events":["*"],"name":"billing","url":"https://example.org/hook?***"}}`
	const is = `{"hook":{"enabled":false,"events":["*"],"name":"billing","newQuery":true,"newSecret":true,"url":"https://example.org/hook?***"}}`
	if string(e.Before) != was || string(e.After) != is {
		t.Errorf("before %s\nafter  %s", e.Before, e.After)
	}
	after.URL = "https://example.com/"
	e, err = newEntry(t.Context(), auth.Identity{UserID: "ops"}, "update-hook", &before, &after)
	if err != nil || strings.Contains(string(e.After), "newQuery") || !strings.Contains(string(e.After), `"https://example.com/"`) {
		t.Errorf("another address: %s, %v", e.After, err)
	}
}
