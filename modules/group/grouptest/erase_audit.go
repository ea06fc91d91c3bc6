package grouptest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
)

// testEraseCommonWord erases a user whose id is also a role, a JSON key and the text of a
// message. Only the user's id may be replaced.
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

// testEraseNamed erases a user from entries about other users, in groups that no longer
// exist.
func testEraseNamed(t *testing.T, s Store) {
	ctx, now := t.Context(), time.Now().UnixMilli()
	job, err := s.SetErasure(ctx, "1", "bob")
	if err != nil {
		t.Fatal(err)
	}
	const entries, others = 45, 120 // more entries than one step takes, and more users than one statement takes
	for i := range entries {
		e := entryAt(now-int64(i), "backend", "swept", "")
		e.Before = json.RawMessage(`{"group":{"name":"g","ownerId":"bob"}}`)
		e.After = json.RawMessage(`{"members":[{"name":"Bob","userId":"bob"}`)
		for n := range others {
			e.After = fmt.Appendf(e.After, `,{"name":"N","userId":"%03d"}`, n)
		}
		e.After = append(e.After, `]}`...)
		if err := s.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := s.FinishErasure(ctx, group.Erasure{ID: job, UserID: "bob"}); done || err != nil {
		t.Errorf("finished before the audit log is rewritten: %v, %v", done, err)
	}
	erase := func(userID, pseudonym string) {
		t.Helper()
		for more := true; more; {
			if more, err = s.EraseOf(ctx, userID, pseudonym); err != nil {
				t.Fatal(err)
			}
		}
	}
	erase("bob", "erased:1")
	erase("119", "erased:2")
	got, err := s.Entries(ctx, audit.Filter{}, "", 100)
	if err != nil || len(got) != entries {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for _, e := range got {
		if want := `{"group":{"name":"g","ownerId":"erased:1"}}`; string(e.Before) != want {
			t.Fatalf("before: %s, want %s", e.Before, want)
		}
		if after := string(e.After); strings.Contains(after, "ob") || strings.Contains(after, "119") || strings.Count(after, `"name":"N"`) != others-1 {
			t.Fatalf("after: %s", after)
		}
	}
	if done, err := s.FinishErasure(ctx, group.Erasure{ID: job, UserID: "bob"}); !done || err != nil {
		t.Errorf("finished: %v, %v", done, err)
	}
	if n, err := s.ExpireAudit(ctx, -time.Hour, 100); n != entries || err != nil { // the names in the entries expire, too
		t.Errorf("expired %d, %v", n, err)
	}
	if more, err := s.EraseOf(ctx, "118", "erased:3"); more || err != nil {
		t.Errorf("more: %v, %v", more, err)
	}
}
