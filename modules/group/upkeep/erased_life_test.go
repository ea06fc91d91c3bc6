package upkeep_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

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
	absent []string // group ids
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

// life is a bench with a user who has data in every table that can have it.
type life struct {
	*servicetest.Bench
	t       *testing.T
	ctx     context.Context
	db      *database.DB
	victim  auth.Identity
	backend auth.Identity

	owned, alone, shared, foreign, gone group.Group
	edited, others                      int64 // two messages in shared: edited is the user's, which bob edited; others is bob's
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
	l.role(l.owned.ID, "bob", "admin") // bob joined later, but is an admin
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
	do[group.AddedMembers](l)(l.AddMembers(ctx, victim, l.shared.ID, dto.AddMembersRequest{UserIDs: []string{"erin"}})) // erin is only invited
	do[group.NewInvite](l)(l.Invite(ctx, victim, l.shared.ID, dto.InviteRequest{}))
	do[group.Mute](l)(l.Mute(ctx, bob, l.shared.ID, erasedID, dto.MuteRequest{}))
	do[group.Transferred](l)(l.Transfer(ctx, bob, l.shared.ID, nil, dto.TransferRequest{UserID: erasedID})) // the group is only offered
	l.must(l.MarkRead(ctx, victim, l.shared.ID, servicetest.Decode[dto.ReadRequest](t, `{"version":3}`)))

	// Groups of which the user is not a member. Each has other data of the user.
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

	// A group to which the user only wrote as a back end, and a deleted group.
	l.foreign = open(bob)
	l.post(auth.Identity{UserID: erasedID, Admin: true}, l.foreign.ID, mark)
	l.gone = open(victim)
	l.post(victim, l.gone.ID, mark)
	l.must(l.Delete(ctx, victim, l.gone.ID, nil))

	// Groups without the user, but with a ban, an invite or a mute by them. Some were
	// imported. One was made by a back end, and its log is gone.
	l.imports(`{"group":{"id":"r","name":"g","ownerId":"bob"}}`, `{"ban":{"groupId":"r","userId":"dave","actor":`+mustJSON(t, erasedID)+`}}`)
	l.imports(`{"group":{"id":"s","name":"g","ownerId":"bob"}}`, `{"invite":{"groupId":"s","code":"letmein","createdBy":`+mustJSON(t, erasedID)+`}}`)
	l.imports(`{"group":{"id":"u","name":"g","ownerId":"bob"}}`, `{"message":{"groupId":"u","actor":`+mustJSON(t, erasedID)+`,"data":"`+mark+`"}}`)
	muted, asBackend := open(bob), auth.Identity{UserID: erasedID, Admin: true}
	l.join(muted.ID, carol)
	do[group.Mute](l)(l.Mute(ctx, asBackend, muted.ID, "carol", dto.MuteRequest{}))
	l.exec(`DELETE FROM events WHERE group_id = $1`, muted.ID)

	// A hook function of the program failed, and its error text has the user's text.
	l.exec(`INSERT INTO hooks (id, name, source, url, events, secret, secret_before, rotated_at, since_at, enabled, problem, paused_until, scan_since, created_at, updated_at)
		VALUES ('f', 'f', 'program', '', '["*"]', '', '', 0, 0, TRUE, '', 0, 0, 0, 0)`)
	for hookID, problem := range map[string]string{"f": "cannot mail " + mark, "elsewhere": "no answer: malformed: " + erasedID} {
		l.exec(`INSERT INTO hook_groups (group_id, hook_id, version, head, upto, claim, claimed, attempts, unreachable, status, problem, gap)
			VALUES ($1, $2, 1, 1, 0, 1, FALSE, 1, FALSE, 0, $3, FALSE)`, l.shared.ID, hookID, problem)
		l.exec(`INSERT INTO hook_presence_groups (group_id, hook_id, version, head, upto, due_at, behind_at, claim, claimed, attempts, unreachable, status, problem)
			VALUES ($1, $2, 1, 1, 0, 1, 1, 1, FALSE, 1, FALSE, 0, $3)`, l.shared.ID, hookID, problem)
	}

	l.exec(`INSERT INTO hook_presence (group_id, user_id, n, online, at, seen_at) VALUES ($1, $2, 1, FALSE, 1, 1)`, l.shared.ID, erasedID)

	// Data outside of groups.
	keyed := func(key string) context.Context { return group.WithKey(ctx, key) }
	do[group.Group](l)(l.Create(keyed("k1"), l.backend, servicetest.Decode[dto.CreateRequest](t, mustJSON(t, map[string]string{"name": "g", "ownerId": erasedID, "ownerName": mark}))))
	do[group.Group](l)(l.Create(keyed("for "+erasedID), l.backend, servicetest.Decode[dto.CreateRequest](t, `{"name":"g"}`)))
	do[group.Event](l)(l.Post(keyed("k2"), victim, l.owned.ID, dto.MessageRequest{Data: json.RawMessage(`"` + mark + `"`)}))
	l.edit(l.backend, l.owned.ID, l.post(victim, l.owned.ID, mark), mark+" as the back end quotes it")
	for _, edits := range []bool{true, false} { // the user, as an admin, edited messages of bob
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

// run runs a job to its end. It makes each step twice, as if a node had died before it
// stored its progress.
func (l *life) run(id string, out upkeep.Elsewhere) {
	l.t.Helper()
	eraser := upkeep.NewEraser(l.Service, l.Store, out, slog.New(slog.DiscardHandler))
	for range 1000 {
		l.exec(`UPDATE erasures SET until = 0 WHERE finished_at IS NULL`)
		job := do[*group.Erasure](l)(l.Store.ClaimErasure(l.ctx))
		if job == nil || job.ID != id {
			l.t.Fatalf("claimed %+v", job)
		}
		_, _, _, err := eraser.Continue(l.ctx, *job)
		l.must(err)
		next, wait, done, err := eraser.Continue(l.ctx, *job)
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
