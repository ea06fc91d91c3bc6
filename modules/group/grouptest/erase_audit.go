package grouptest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/audit"
)

// testEraseCommonWord erases a user whose id is also a role, a key, and what somebody said.
func testEraseCommonWord(t *testing.T, s Store) {
	ctx := t.Context()
	e := entryAt(time.Now().UnixMilli(), "backend", "g1", "member")
	e.Before = json.RawMessage(`{"bans":[{"actor":"member","reason":"said so","userId":"bob"}],` +
		`"group":{"attributes":{"member":"member","userId":"member"},"name":"member","ownerId":"member","version":12345678901234567890},"leftOut":1}`)
	e.After = json.RawMessage(`{"members":[{"attributes":{"note":"member"},"name":"M","role":"member","userId":"member"},` +
		`{"attributes":{"userId":"member"},"name":"member","profile":{"a":["member"]},"role":"member","userId":"bob"}],` +
		`"message":{"data":"member","type":"member"}}`)
	if err := s.Record(ctx, e); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EraseOf(ctx, "member", "erased:1"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Entries(ctx, audit.Filter{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	e.UserID = "erased:1"
	e.Before = json.RawMessage(`{"bans":[{"actor":"erased:1","userId":"bob"}],` +
		`"group":{"attributes":{"member":"member","userId":"member"},"name":"member","ownerId":"erased:1","version":12345678901234567890},"leftOut":1}`)
	e.After = json.RawMessage(`{"members":[{"role":"member","userId":"erased:1"},` +
		`{"attributes":{"userId":"member"},"name":"member","profile":{"a":["member"]},"role":"member","userId":"bob"}],` +
		`"message":{"type":"member"}}`)
	same(t, "erased", got, []audit.Entry{e})
}
