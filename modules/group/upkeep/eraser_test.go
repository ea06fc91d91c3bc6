package upkeep_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// outside records what a job does outside of the database.
type outside struct {
	mu     sync.Mutex
	cut    int
	absent []string // groups
	forgot int
}

func (o *outside) CutOff(context.Context, string, time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut++
	return nil
}

func (o *outside) EndPresence(groupID, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.absent = append(o.absent, groupID)
}

func (o *outside) Forget(context.Context, string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgot++
	return nil
}

// The user who is erased. Everything that they say has the mark, and their id has
// characters that JSON escapes.
const (
	erasedID = `vic"tim\é<1>`
	mark     = "mark-1b9f"
)

// life is a bench in which the user has done all that leaves a trace.
type life struct {
	*servicetest.Bench
	t       *testing.T
	ctx     context.Context
	db      *database.DB
	victim  auth.Identity
	backend auth.Identity

	owned, alone, shared, foreign, gone group.Group
	edited, others                      int64 // messages in shared: the user's, which bob edited, and bob's
}

func do[T any](l *life) func(T, error) T {
	return func(v T, err error) T {
		l.t.Helper()
		if err != nil {
			l.t.Fatal(err)
		}
		return v
	}
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) group(owner auth.Identity, body string) group.Group {
	l.t.Helper()
	return do[group.Group](l)(l.Create(l.ctx, owner, servicetest.Decode[dto.CreateRequest](l.t, body)))
}

func (l *life) join(groupID string, users ...auth.Identity) {
	l.t.Helper()
	for _, u := range users {
		do[group.Joined](l)(l.Join(l.ctx, u, groupID))
		l.Now = l.Now.Add(time.Second)
	}
}

func (l *life) role(groupID, userID, role string) {
	l.t.Helper()
	do[group.Member](l)(l.UpdateMember(l.ctx, l.backend, groupID, userID, servicetest.Decode[dto.UpdateMemberRequest](l.t, `{"role":"`+role+`"}`)))
}

func (l *life) post(u auth.Identity, groupID, text string) int64 {
	l.t.Helper()
	data, err := json.Marshal(text)
	l.must(err)
	return do[group.Event](l)(l.Post(l.ctx, u, groupID, dto.MessageRequest{Data: data})).Version
}

func (l *life) edit(u auth.Identity, groupID string, version int64, text string) {
	l.t.Helper()
	data, err := json.Marshal(text)
	l.must(err)
	do[group.Event](l)(l.EditMessage(l.ctx, u, groupID, version, dto.EditMessageRequest{Data: data}))
}

func newLife(t *testing.T, db *database.DB) *life {
	t.Helper()
	l := &life{
		Bench: servicetest.NewOn(group.Config{}, sqlstore.New(db)), t: t, ctx: t.Context(), db: db,
		victim: auth.Identity{UserID: erasedID, Name: "Victor " + mark}, backend: auth.Identity{UserID: "backend", Admin: true},
	}
	ctx, victim, bob, carol := l.ctx, l.victim, servicetest.User("bob"), servicetest.User("carol")
	open := func(owner auth.Identity) group.Group {
		return l.group(owner, `{"name":"g","visibility":"public","joinPolicy":"open"}`)
	}

	l.owned = open(victim)
	l.join(l.owned.ID, carol, bob)
	l.role(l.owned.ID, "bob", "admin") // who joined later, but is an admin
	l.post(victim, l.owned.ID, mark)

	l.alone = open(victim)
	l.post(victim, l.alone.ID, mark)

	l.shared = open(bob)
	l.join(l.shared.ID, carol, victim)
	l.role(l.shared.ID, erasedID, "admin")
	do[group.Member](l)(l.Introduce(ctx, victim, l.shared.ID, servicetest.Decode[dto.IntroduceRequest](t, `{"profile":{"bio":"`+mark+`"}}`)))
	l.edited = l.post(victim, l.shared.ID, mark+" 1")
	l.edit(victim, l.shared.ID, l.edited, mark+" 2")
	l.edit(bob, l.shared.ID, l.edited, mark+" as bob quotes it")
	l.others = l.post(bob, l.shared.ID, "bob's own words")
	l.edit(victim, l.shared.ID, l.post(bob, l.shared.ID, "to be overwritten"), mark+" instead")
	do[group.Event](l)(l.DeleteMessage(ctx, victim, l.shared.ID, l.post(victim, l.shared.ID, mark)))
	do[group.Ban](l)(l.Ban(ctx, victim, l.shared.ID, "dave", servicetest.Decode[dto.BanRequest](t, `{"reason":"`+mark+`"}`)))
	do[group.Mute](l)(l.Mute(ctx, victim, l.shared.ID, "carol", dto.MuteRequest{}))
	do[group.AddedMembers](l)(l.AddMembers(ctx, victim, l.shared.ID, dto.AddMembersRequest{UserIDs: []string{"erin"}})) // invited
	do[group.NewInvite](l)(l.Invite(ctx, victim, l.shared.ID, dto.InviteRequest{}))
	do[group.Mute](l)(l.Mute(ctx, bob, l.shared.ID, erasedID, dto.MuteRequest{}))
	do[group.Transferred](l)(l.Transfer(ctx, bob, l.shared.ID, nil, dto.TransferRequest{UserID: erasedID})) // offered
	l.must(l.MarkRead(ctx, victim, l.shared.ID, servicetest.Decode[dto.ReadRequest](t, `{"version":3}`)))

	// Groups where the user is no member, each with another trace.
	left := open(bob)
	l.join(left.ID, victim)
	l.must(l.Leave(ctx, victim, left.ID))
	removed := open(bob)
	do[group.AddedMembers](l)(l.AddMembers(ctx, l.backend, removed.ID, dto.AddMembersRequest{UserIDs: []string{erasedID}, Names: map[string]string{erasedID: "Victor " + mark}}))
	l.must(l.RemoveMember(ctx, bob, removed.ID, erasedID, false))
	banned := open(bob)
	do[group.Ban](l)(l.Ban(ctx, bob, banned.ID, erasedID, dto.BanRequest{}))
	for _, withdrawn := range []bool{false, true} {
		asked := l.group(bob, `{"name":"g","visibility":"public","joinPolicy":"request"}`)
		do[group.Joined](l)(l.Join(ctx, victim, asked.ID))
		if withdrawn {
			l.must(l.Withdraw(ctx, victim, asked.ID))
		}
	}
	invites := open(bob)
	do[group.AddedMembers](l)(l.AddMembers(ctx, bob, invites.ID, dto.AddMembersRequest{UserIDs: []string{erasedID}}))
	handed := open(victim)
	l.join(handed.ID, bob)
	do[group.Transferred](l)(l.Transfer(ctx, l.backend, handed.ID, nil, dto.TransferRequest{UserID: "bob"}))
	l.must(l.Leave(ctx, victim, handed.ID))

	// A group that they only wrote to, as a back end, and one that is deleted.
	l.foreign = open(bob)
	l.post(auth.Identity{UserID: erasedID, Admin: true}, l.foreign.ID, mark)
	l.gone = open(victim)
	l.post(victim, l.gone.ID, mark)
	l.must(l.Delete(ctx, victim, l.gone.ID, nil))

	// Groups that do not know them, with bans and invites by them: from another system, and by
	// a back end, whose log is gone.
	l.imports(`{"group":{"id":"r","name":"g","ownerId":"bob"}}`, `{"ban":{"groupId":"r","userId":"dave","actor":`+mustJSON(t, erasedID)+`}}`)
	l.imports(`{"group":{"id":"s","name":"g","ownerId":"bob"}}`, `{"invite":{"groupId":"s","code":"letmein","createdBy":`+mustJSON(t, erasedID)+`}}`)
	l.imports(`{"group":{"id":"u","name":"g","ownerId":"bob"}}`, `{"message":{"groupId":"u","actor":`+mustJSON(t, erasedID)+`,"data":"`+mark+`"}}`)
	muted, asBackend := open(bob), auth.Identity{UserID: erasedID, Admin: true}
	l.join(muted.ID, carol)
	do[group.Mute](l)(l.Mute(ctx, asBackend, muted.ID, "carol", dto.MuteRequest{}))
	l.exec(`DELETE FROM events WHERE group_id = $1`, muted.ID)

	// A function of the program failed to take events of theirs.
	l.exec(`INSERT INTO hooks (id, name, source, url, events, secret, secret_before, rotated_at, since_at, enabled, problem, paused_until, scan_since, created_at, updated_at)
		VALUES ('f', 'f', 'program', '', '["*"]', '', '', 0, 0, TRUE, '', 0, 0, 0, 0)`)
	for hookID, problem := range map[string]string{"f": "cannot mail " + mark, "elsewhere": "no answer: malformed: " + erasedID} {
		l.exec(`INSERT INTO hook_groups (group_id, hook_id, version, head, upto, claim, claimed, attempts, unreachable, status, problem, gap)
			VALUES ($1, $2, 1, 1, 0, 1, FALSE, 1, FALSE, 0, $3, FALSE)`, l.shared.ID, hookID, problem)
		l.exec(`INSERT INTO hook_presence_groups (group_id, hook_id, version, head, upto, due_at, behind_at, claim, claimed, attempts, unreachable, status, problem)
			VALUES ($1, $2, 1, 1, 0, 1, 1, 1, FALSE, 1, FALSE, 0, $3)`, l.shared.ID, hookID, problem)
	}

	l.exec(`INSERT INTO hook_presence (group_id, user_id, n, online, at, seen_at) VALUES ($1, $2, 1, FALSE, 1, 1)`, l.shared.ID, erasedID)

	// What is kept outside of groups.
	keyed := func(key string) context.Context { return group.WithKey(ctx, key) }
	do[group.Group](l)(l.Create(keyed("k1"), l.backend, servicetest.Decode[dto.CreateRequest](t, mustJSON(t, map[string]string{"name": "g", "ownerId": erasedID, "ownerName": mark}))))
	do[group.Group](l)(l.Create(keyed("for "+erasedID), l.backend, servicetest.Decode[dto.CreateRequest](t, `{"name":"g"}`)))
	do[group.Event](l)(l.Post(keyed("k2"), victim, l.owned.ID, dto.MessageRequest{Data: json.RawMessage(`"` + mark + `"`)}))
	l.edit(l.backend, l.owned.ID, l.post(victim, l.owned.ID, mark), mark+" as the back end quotes it")
	for _, edits := range []bool{true, false} { // what they, as an admin, wrote over a message of bob
		version := l.post(bob, l.owned.ID, "bob's")
		l.edit(victim, l.owned.ID, version, mark)
		if edits {
			l.edit(l.backend, l.owned.ID, version, "the back end's")
			continue
		}
		do[group.Event](l)(l.DeleteMessage(ctx, l.backend, l.owned.ID, version))
	}
	do[group.Member](l)(l.UpdateMember(ctx, l.backend, l.shared.ID, erasedID, servicetest.Decode[dto.UpdateMemberRequest](t, `{"attributes":{"note":"`+mark+`"}}`)))
	do[string](l)(l.RenameUser(ctx, l.backend, erasedID, servicetest.Decode[dto.RenameRequest](t, `{"name":"`+mark+`"}`)))
	l.Take()
	return l
}

func (l *life) exec(query string, a ...any) {
	l.t.Helper()
	l.must(l.db.Write(l.ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, query, a...)
		return err
	}))
}

func (l *life) imports(lines ...string) {
	l.t.Helper()
	i := transfer.New(transfer.Config{Groups: group.Config{}.WithDefaults(), File: "rooms", By: "moim import"}, sqlstore.New(l.db), strings.NewReader(strings.Join(lines, "\n")))
	if r := do[transfer.Report](l)(i.Check(l.ctx)); r.Wrong > 0 {
		l.t.Fatal(r.Mistakes)
	}
	do[transfer.Counts](l)(i.Write(l.ctx))
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// holding returns what still names the user.
func (l *life) holding() (found []string) {
	l.t.Helper()
	escaped := mustJSON(l.t, erasedID)
	for _, text := range []string{erasedID, mark, `vic\"tim`, escaped[1 : len(escaped)-1]} {
		found = append(found, servicetest.Holding(l.t, l.db, text)...)
	}
	return found
}

// run does a job to its end. Each step is done twice, as if the node had died before it
// could note that.
func (l *life) run(id string, out group.Elsewhere) {
	l.t.Helper()
	for range 1000 {
		l.exec(`UPDATE erasures SET until = 0 WHERE finished_at IS NULL`)
		job := do[*group.Erasure](l)(l.Store.ClaimErasure(l.ctx))
		if job == nil || job.ID != id {
			l.t.Fatalf("claimed %+v", job)
		}
		_, _, _, err := l.ContinueErasure(l.ctx, *job, out)
		l.must(err)
		next, wait, done, err := l.ContinueErasure(l.ctx, *job, out)
		l.must(err)
		if done && do[bool](l)(l.Store.FinishErasure(l.ctx, *job)) {
			return
		}
		l.must(l.Store.AdvanceErasure(l.ctx, next, wait))
	}
	l.t.Fatal("the job does not end")
}

func (l *life) log(groupID string) []group.Event {
	l.t.Helper()
	page := do[group.LogPage](l)(l.Store.Read(l.ctx, groupID, 0, 1000, nil))
	for i, e := range page.Events {
		if e.Version != int64(i)+1 {
			l.t.Fatalf("event %d of group %s has version %d", i, groupID, e.Version)
		}
	}
	return page.Events
}

func onBoth(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, servicetest.OpenDatabase(t, ""))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, servicetest.OpenDatabase(t, servicetest.NewPostgres(t)))
	})
}

// After a job, no table names the user or holds what they said. The logs have no holes, and
// what others said is there.
func TestEraseLeavesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *database.DB) {
		l, out := newLife(t, db), &outside{}
		before := make(map[string][]group.Event)
		for _, g := range []group.Group{l.owned, l.alone, l.shared, l.foreign, l.gone} {
			before[g.ID] = l.log(g.ID)
		}
		id := do[group.Erasure](l)(l.EraseUser(l.ctx, l.backend, erasedID)).ID
		l.checkTraces()
		if again := do[group.Erasure](l)(l.EraseUser(l.ctx, l.backend, erasedID)).ID; again != id {
			t.Errorf("a repeat is job %s, want %s", again, id)
		}
		l.run(id, out)
		if found := l.holding(); len(found) > 0 {
			t.Errorf("still there: %q", found)
		}
		for groupID, was := range before {
			events := l.log(groupID)
			for i, e := range was {
				if now := events[i]; now.Type != e.Type || !now.At.Equal(e.At) {
					t.Errorf("event %d was %s at %s, and is %s at %s", e.Version, e.Type, e.At, now.Type, now.At)
				}
				if e.Actor != nil && *e.Actor == "bob" && (events[i].Actor == nil || *events[i].Actor != "bob") {
					t.Errorf("event %d of bob lost its actor", e.Version)
				}
			}
		}
		l.checkGroups()
		l.checkMessages()
		l.checkAudit(id)
		job := do[group.Erasure](l)(l.Erasure(l.ctx, l.backend, id))
		// The groups that they own: the first two, and the one of the receipt.
		if job.UserID != "" || job.FinishedAt == nil || job.Erased.GroupsLeft != 4 || job.Erased.GroupsHandedOver != 1 || job.Erased.GroupsEnded != 2 {
			t.Errorf("the job is %+v", job)
		}
		if job.Erased.MessagesBlanked < 6 || job.Erased.EventsBlanked < 2*job.Erased.MessagesBlanked {
			t.Errorf("blanked: %+v", job.Erased)
		}
		if out.cut == 0 || out.forgot == 0 || !slices.Contains(out.absent, l.shared.ID) {
			t.Errorf("outside: %+v", out)
		}
	})
}

// checkTraces checks that the test is about all tables that name users.
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

// checkGroups checks who owns the user's groups, and what subscribers were told.
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
			t.Errorf("%s: told (-want +got):\n%s", what, diff)
		}
	}
	if got := told[l.shared.ID]; len(got) != 2 || !strings.HasPrefix(got[0], "invite.revoked") || got[1] != bye {
		t.Errorf("told in the shared group: %q", got)
	}
	events := l.log(l.owned.ID)
	last := events[len(events)-2:]
	if string(last[0].Data) != `{"from":null,"to":"bob"}` || string(last[1].Data) != `{"erased":true,"userId":null}` {
		t.Errorf("in the log: %s %s", last[0].Data, last[1].Data)
	}
}

// mustQuiet returns a text as JSON, as the service writes it.
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
			l.t.Errorf("carol has %d unread messages, want bob's", g.Unread)
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

// checkAudit checks that the audit log tells what was done, to somebody.
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
		l.t.Errorf("what they did as a back end: %+v", by)
	}
}

// A back end that adds the user while the job runs does not keep it from its end: they are
// erased there, too.
func TestEraseWhoIsAddedMeanwhile(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *database.DB) {
		l := newLife(t, db)
		id := do[group.Erasure](l)(l.EraseUser(l.ctx, l.backend, erasedID)).ID
		adds := &addsOnce{outside: &outside{}, add: func() {
			do[group.AddedMembers](l)(l.AddMembers(l.ctx, l.backend, l.shared.ID, dto.AddMembersRequest{UserIDs: []string{erasedID}}))
			l.post(l.victim, l.shared.ID, mark)
		}}
		l.run(id, adds)
		if found := l.holding(); len(found) > 0 {
			t.Errorf("still there: %q", found)
		}
		if job := do[group.Erasure](l)(l.Erasure(l.ctx, l.backend, id)); job.Erased.GroupsLeft != 5 {
			t.Errorf("left %d groups", job.Erased.GroupsLeft)
		}
	})
}

// addsOnce adds the user again when the job seems to be done.
type addsOnce struct {
	*outside
	once sync.Once
	add  func()
}

func (a *addsOnce) Forget(context.Context, string) error {
	a.once.Do(a.add)
	return nil
}

// The eraser does a job by itself, and a log line names nobody.
func TestEraserWorks(t *testing.T) {
	t.Parallel()
	l := newLife(t, servicetest.OpenDatabase(t, ""))
	id := do[group.Erasure](l)(l.EraseUser(l.ctx, l.backend, erasedID)).ID
	var log syncBuffer
	out := &failsOnce{outside: &outside{}}
	e := upkeep.NewEraser(l.Service, l.Store, out, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l.must(e.Start(l.ctx))
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		l.exec(`UPDATE erasures SET until = 0 WHERE until > $1`, time.Now().Add(time.Second).UnixMicro()) // claims and waits are over
		if do[group.Erasure](l)(l.Erasure(l.ctx, l.backend, id)).FinishedAt != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the job is not done")
		}
	}
	l.must(e.Stop(l.ctx))
	if found := l.holding(); len(found) > 0 {
		t.Errorf("still there: %q", found)
	}
	text := log.String()
	if !strings.Contains(text, id) || !strings.Contains(text, "could not erase") || strings.Contains(text, "vic") || strings.Contains(text, mark) {
		t.Errorf("logged: %s", text)
	}
}

// failsOnce fails the first time, with an error that names the user.
type failsOnce struct {
	*outside
	once sync.Once
}

func (f *failsOnce) Forget(_ context.Context, userID string) (err error) {
	f.once.Do(func() { err = &namesUser{userID} })
	return err
}

type namesUser struct{ userID string }

func (e *namesUser) Error() string { return "no answer about " + e.userID }

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
