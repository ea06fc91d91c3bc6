package upkeep_test

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// holding returns the places that still have the user's id or texts.
func (l *life) holding() (found []string) {
	l.t.Helper()
	escaped := mustJSON(l.t, erasedID)
	for _, text := range []string{erasedID, mark, `vic\"tim`, escaped[1 : len(escaped)-1]} {
		found = append(found, servicetest.Holding(l.t, l.db, text)...)
	}
	return found
}

// checkTraces checks that the user has data in every table that can have it, so that the
// test covers them all.
func (l *life) checkTraces() {
	l.t.Helper()
	var tables []string
	for _, found := range l.holding() {
		table, _, _ := strings.Cut(found, ":")
		tables = append(tables, table)
	}
	slices.Sort(tables)
	want := []string{
		"audit", "audit_users", "bans", "departures", "erasures", "events", "groups", "hook_groups", "hook_presence", "hook_presence_groups", "invitations", "invites", "members", "mutes", "receipt_users", "receipts", "renames",
		"requests", "traces", "user_locks",
	}
	if diff := cmp.Diff(want, slices.Compact(tables)); diff != "" {
		l.t.Errorf("tables that name the user (-want +got):\n%s", diff)
	}
}

// checkGroups checks the new owners of the user's groups, and the announced events.
func (l *life) checkGroups() {
	t := l.t
	t.Helper()
	told := make(map[string][]string)
	for _, e := range l.TakeEvents() {
		if e.Actor != nil {
			t.Errorf("%s has an actor", e.Type)
		}
		told[e.GroupID] = append(told[e.GroupID], string(e.Type)+" "+string(e.Data))
	}
	name := mustQuiet(erasedID)
	bye := `member.left {"userId":` + name + `,"erased":true}`
	for what, c := range map[string]struct {
		groupID, owner string
		ended          bool
		want           []string
	}{
		"handed over": {l.owned.ID, "bob", false, []string{`owner.transferred {"from":` + name + `,"to":"bob"}`, bye}},
		"ended":       {l.alone.ID, "", true, []string{`owner.transferred {"from":` + name + `,"to":null}`, `group.ended {}`, bye}},
	} {
		g := l.Read(t, c.groupID)
		if g.OwnerID != c.owner || (g.EndedAt != nil) != c.ended {
			t.Errorf("%s: %+v", what, g)
		}
		if diff := cmp.Diff(c.want, told[c.groupID]); diff != "" {
			t.Errorf("%s: announced (-want +got):\n%s", what, diff)
		}
	}
	if got := told[l.shared.ID]; len(got) != 2 || !strings.HasPrefix(got[0], "invite.revoked") || got[1] != bye {
		t.Errorf("announced in the shared group: %q", got)
	}
	events := l.log(l.owned.ID)
	last := events[len(events)-2:]
	if string(last[0].Data) != `{"from":null,"to":"bob"}` || string(last[1].Data) != `{"erased":true,"userId":null}` {
		t.Errorf("in the log: %s %s", last[0].Data, last[1].Data)
	}
}

// mustQuiet returns a text as JSON, encoded like the service does.
func mustQuiet(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text)
	return strings.TrimSpace(b.String())
}

// checkMessages checks the messages of the shared group.
func (l *life) checkMessages() {
	l.t.Helper()
	for _, g := range do[[]group.Membership](l)(l.Store.UserGroups(l.ctx, "carol", "", 10)) {
		if g.ID == l.shared.ID && g.Unread != 1 {
			l.t.Errorf("carol has %d unread messages, want only bob's", g.Unread)
		}
	}
	for _, m := range do[[]group.Message](l)(l.Messages(l.ctx, l.backend, l.shared.ID, 0, 100)) {
		switch {
		case m.Version == l.others:
			if m.Actor == nil || *m.Actor != "bob" || string(m.Data) != `"bob's own words"` {
				l.t.Errorf("bob's message is %+v", m)
			}
		case m.DeletedAt == nil || string(m.Data) != "null":
			l.t.Errorf("message %d is not blank: %+v", m.Version, m)
		}
	}
}

// checkAudit checks that the audit log still has all actions, but not the user's id.
func (l *life) checkAudit(jobID string) {
	l.t.Helper()
	actions := make(map[string]int)
	for _, e := range do[[]audit.Entry](l)(l.Audit(l.ctx, l.backend, audit.Filter{Target: "erased:" + jobID}, "", 100)) {
		actions[e.Action]++
		if e.Actor != "backend" {
			l.t.Errorf("%s has the actor %s", e.Action, e.Actor)
		}
		if e.Action == "edit-message" && string(e.Before) != `{"message":{"actor":"erased:`+jobID+`","type":"message","version":7}}` {
			l.t.Errorf("an edit: %s", e.Before)
		}
	}
	want := map[string]int{"add-members": 1, "change-member": 2, "create": 1, "edit-message": 1, "erase-user": 1, "rename-user": 1}
	if diff := cmp.Diff(want, actions); diff != "" {
		l.t.Errorf("audit entries (-want +got):\n%s", diff)
	}
	if by := do[[]audit.Entry](l)(l.Audit(l.ctx, l.backend, audit.Filter{Actor: "erased:" + jobID}, "", 100)); len(by) != 2 || by[0].Action != "mute" || by[1].Action != "post" {
		l.t.Errorf("the user's actions as a back end: %+v", by)
	}
}
