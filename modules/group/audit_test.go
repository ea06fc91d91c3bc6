package group_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// sideOf shows the records before or after a change, by kind.
func sideOf(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	kinds := servicetest.Decode[map[string]json.RawMessage](t, string(raw))
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		type record struct {
			Name, OwnerID, UserID, InviteID string
			Data                            json.RawMessage
		}
		show := func(r record) string {
			switch {
			case kind == "group":
				return r.Name + "/" + r.OwnerID
			case kind == "message":
				return string(r.Data)
			case kind == "user":
				return r.Name
			case r.InviteID != "":
				return "invite"
			}
			return r.UserID
		}
		var shown []string
		if text := string(kinds[kind]); strings.HasPrefix(text, "[") {
			for _, r := range servicetest.Decode[[]record](t, text) {
				shown = append(shown, show(r))
			}
		} else {
			shown = append(shown, show(servicetest.Decode[record](t, text)))
		}
		parts = append(parts, kind+"="+strings.Join(shown, ","))
	}
	return strings.Join(parts, ";")
}

func showEntries(t *testing.T, entries []audit.Entry) []string {
	t.Helper()
	shown := []string{}
	for _, e := range entries {
		before, after := sideOf(t, e.Before), sideOf(t, e.After)
		shown = append(shown, strings.TrimSpace(strings.ReplaceAll(fmt.Sprintf("%s %s: %s → %s", e.Action, e.UserID, before, after), "  ", " ")))
		if e.Actor != "backend" || e.Via != "api" || e.At.IsZero() || e.ID == "" {
			t.Errorf("an entry without its actor: %+v", e)
		}
	}
	return shown
}

func newest(t *testing.T, b *servicetest.Bench) string {
	t.Helper()
	entries, err := b.Store.Entries(t.Context(), audit.Filter{}, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	return entries[0].ID
}

// since lists the entries that are newer than the given one, oldest first.
func since(t *testing.T, b *servicetest.Bench, id string) []string {
	t.Helper()
	entries, err := b.Store.Entries(t.Context(), audit.Filter{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	n := slices.IndexFunc(entries, func(e audit.Entry) bool { return e.ID == id })
	fresh := entries[:n]
	slices.Reverse(fresh)
	return showEntries(t, fresh)
}

// TestChangesOfTheConsole checks that changes made in the console are recorded as such.
func TestChangesOfTheConsole(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	if _, err := b.Create(audit.WithVia(t.Context(), audit.Console), backend, dto.CreateRequest{Name: "new"}); err != nil {
		t.Fatal(err)
	}
	entries, err := b.Store.Entries(t.Context(), audit.Filter{}, "", 1)
	if err != nil || len(entries) != 1 || entries[0].Via != audit.Console {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestBackEndsAreAudited checks that each change of a back end leaves one entry, in the
// change's transaction. A failed call and a repeat leave none, and calls of users leave
// none.
func TestBackEndsAreAudited(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		t.Helper()
		b := servicetest.NewOn(group.Config{}, st)
		covered := map[string]bool{}
		for i, s := range auditSteps {
			action, _, _ := strings.Cut(s.want, " ")
			covered[action] = true
			want := []string{s.want}

			p := newPrepared(t, b, s)
			last := newest(t, b)
			if err := s.do(t.Context(), p); err != nil {
				t.Fatalf("%s: %v", s.want, err)
			}
			if diff := cmp.Diff(want, since(t, b, last)); diff != "" {
				t.Errorf("%s: recorded: %s", s.want, diff)
			}
			if s.keyless {
				continue
			}

			// The key was used by another request, so the change fails at the end of its
			// transaction.
			p = newPrepared(t, b, s)
			taken := group.WithKey(t.Context(), fmt.Sprint("taken ", i))
			if err := b.Store.Keep(t.Context(), group.Receipt{UserID: "backend", Key: fmt.Sprint("taken ", i), Request: "another", Answer: json.RawMessage(`{}`)}); err != nil {
				t.Fatal(err)
			}
			last = newest(t, b)
			servicetest.WantCode(t, s.want+" under another's key", s.do(taken, p), "idempotency_mismatch")
			if got := since(t, b, last); len(got) > 0 {
				t.Errorf("%s: the failed call left the entries %q", s.want, got)
			}

			keyed := group.WithKey(t.Context(), fmt.Sprint("key ", i))
			for range 2 {
				if err := s.do(keyed, p); err != nil {
					t.Errorf("%s, repeated: %v", s.want, err)
				}
			}
			if diff := cmp.Diff(want, since(t, b, last)); diff != "" {
				t.Errorf("%s, repeated: recorded: %s", s.want, diff)
			}
		}
		for _, action := range group.RecordedActions() {
			if !covered[action] {
				t.Errorf("no step is a %s", action)
			}
		}
	})
}

// TestNoOpsAreNotAudited checks that calls that change nothing leave no entry.
func TestNoOpsAreNotAudited(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	p := newPrepared(t, b, auditStep{})
	ctx := t.Context()
	if _, err := b.RenameUser(ctx, backend, "member", servicetest.Decode[dto.RenameRequest](t, `{"name":"Mo"}`)); err != nil {
		t.Fatal(err)
	}
	last := newest(t, b)
	for name, do := range map[string]func() error{
		"the same name": func() error {
			return second(b.Update(ctx, backend, p.id, nil, servicetest.Decode[dto.UpdateRequest](t, `{"name":"g"}`)))
		},
		"an old revision": func() error { return b.Delete(ctx, backend, p.id, new(int64)) },
		"members": func() error {
			return second(b.AddMembers(ctx, backend, p.id, dto.AddMembersRequest{UserIDs: []string{"member"}}))
		},
		"no ban":     func() error { return b.Unban(ctx, backend, p.id, "eve") },
		"no mute":    func() error { return b.Unmute(ctx, backend, p.id, "eve") },
		"no request": func() error { return b.Withdraw(ctx, backend, p.id) },
		"the owner":  func() error { return second(b.Transfer(ctx, backend, p.id, nil, dto.TransferRequest{UserID: "alice"})) },
		"renamed as before": func() error {
			return second(b.RenameUser(ctx, backend, "member", servicetest.Decode[dto.RenameRequest](t, `{"name":"Mo"}`)))
		},
		"nobody disconnected": func() error {
			return b.DisconnectUser(ctx, backend, "member", func() error { return errors.New("no") })
		},
		"the rename goes on": func() error {
			job, err := b.Store.ClaimRename(ctx)
			if err != nil || job == nil {
				return fmt.Errorf("claimed %v: %w", job, err)
			}
			return b.RenameIn(ctx, p.id, *job)
		},
	} {
		if err := do(); err != nil && name != "an old revision" && name != "nobody disconnected" {
			t.Errorf("%s: %v", name, err)
		}
		if got := since(t, b, last); len(got) > 0 {
			t.Fatalf("%s: the call left the entries %q", name, got)
		}
	}
}

// TestLargeChangesAreAudited checks that records that do not fit into an entry are left out
// and counted.
func TestLargeChangesAreAudited(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	p := newPrepared(t, b, auditStep{})
	req := dto.AddMembersRequest{Names: map[string]string{}}
	for i := range 500 {
		id := fmt.Sprint("guest-", i)
		req.UserIDs = append(req.UserIDs, id)
		req.Names[id] = strings.Repeat("n", 256)
	}
	added, err := b.AddMembers(t.Context(), backend, p.id, req)
	if err != nil || len(added.Items) != 500 {
		t.Fatalf("added %d: %v", len(added.Items), err)
	}
	entries, err := b.Store.Entries(t.Context(), audit.Filter{Target: p.id}, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	after := servicetest.Decode[struct {
		Members []group.Member
		LeftOut int
	}](t, string(entries[0].After))
	if n := len(after.Members); n < 100 || n+after.LeftOut != 500 || len(entries[0].After) > 70<<10 {
		t.Errorf("an entry of %d bytes has %d members and leaves out %d", len(entries[0].After), n, after.LeftOut)
	}
	if diff := cmp.Diff(added.Items[:len(after.Members)], after.Members); diff != "" {
		t.Error(diff)
	}
}

func TestAuditCalls(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	p := newPrepared(t, b, auditStep{})
	ctx := t.Context()
	for _, c := range []struct {
		name   string
		caller auth.Identity
		filter audit.Filter
		want   string
	}{
		{"a back end", backend, audit.Filter{}, "ok"},
		{"a reader", auth.Identity{UserID: "reader", Admin: true, Calls: auth.ReadAudit}, audit.Filter{Target: p.id}, "ok"},
		{"a user", alice, audit.Filter{Target: "alice"}, "forbidden"},
		{"another scope", auth.Identity{UserID: "reader", Admin: true, Calls: auth.ReadGroups}, audit.Filter{}, "forbidden"},
		{"no actor", backend, audit.Filter{Actor: "a\x00"}, "validation_failed"},
		{"no target", backend, audit.Filter{Target: strings.Repeat("x", 200)}, "validation_failed"},
	} {
		entries, err := b.Audit(ctx, c.caller, c.filter, "", 10)
		servicetest.WantCode(t, c.name, err, c.want)
		if c.want == "ok" && len(entries) != 1 {
			t.Errorf("%s: %+v", c.name, entries)
		}
	}
	if since := time.Now().Add(time.Hour); len(must(b.Audit(ctx, backend, audit.Filter{Since: since}, "", 10))) > 0 {
		t.Error("the list has entries since a time in the future")
	}
}
