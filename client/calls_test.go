package client

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/toggle"
)

const secret = "a secret of at least thirty-two bytes"

// server starts a node on SQLite and returns its address.
func server(t *testing.T) string {
	t.Helper()
	var cfg config.Config
	cfg.Data.Dir = t.TempDir()
	cfg.Auth.Secret = secret
	cfg.Limit.Enabled = toggle.Off
	cfg.HTTP.Addr = "127.0.0.1:0"
	node, err := app.NewServer(cfg, app.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := node.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return "http://" + node.Addr()
}

func newClient(t *testing.T, url string, transport http.RoundTripper, tokens TokenSource) *Client {
	t.Helper()
	c, err := New(Config{URL: url, Tokens: tokens, HTTP: &http.Client{Transport: transport, Timeout: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	c.strict = true
	return c
}

func user(t *testing.T, name string) TokenSource {
	t.Helper()
	token, err := SignUser(secret, name, strings.ToUpper(name), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return Token(token)
}

// must returns the result of a call that must succeed.
func must[T any](t *testing.T) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all returns the items of a list.
func all[T any](t *testing.T, items iter.Seq2[T, error]) (got []T) {
	t.Helper()
	for item, err := range items {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item)
	}
	return got
}

// TestEveryCall makes each call that the server documents. Answers must match the document and
// have no field that the client does not know.
func TestEveryCall(t *testing.T) {
	t.Parallel()
	url := server(t)
	document := readDocument(t, url)
	c := newClient(t, url, document, Secret(secret, "shop"))
	ctx := t.Context()
	ana, bo, cy := c.As(user(t, "ana")), c.As(user(t, "bo")), c.As(user(t, "cy"))
	member := must[Member](t)
	group := must[Group](t)

	// A group and its members.
	end := time.Now().Add(time.Hour)
	g := group(c.CreateGroup(ctx, NewGroup{
		Name: "hike", OwnerID: "ana", OwnerName: "Ana", Visibility: "public", JoinPolicy: "request", ReadReceipts: true,
		Capacity: new(9), Attributes: map[string]string{"place": "hill"}, EndsAt: &end, RemindBefore: []int{60},
	}))
	id := g.ID
	changed := group(c.UpdateGroup(ctx, id, GroupChange{Name: new("walk"), Remove: []string{"capacity"}}, IfRevision(g.Revision)))
	if changed.Name != "walk" || changed.Capacity != nil {
		t.Errorf("changed to %+v", changed)
	}
	if _, err := c.UpdateGroup(ctx, id, GroupChange{Name: new("x")}, IfRevision(g.Revision)); Code(err) != "version_conflict" {
		t.Errorf("a change of an old revision: %v", err)
	}
	if again := group(c.Group(ctx, id)); again.Revision != changed.Revision || again.EndsAt == nil {
		t.Errorf("read %+v", again)
	}
	added := must[AddedMembers](t)(c.AddMembers(ctx, id, []string{"bo", "a/b?c"}, map[string]string{"bo": "Bo"}))
	if len(added.Items) != 2 {
		t.Errorf("added %+v", added)
	}
	if m := member(c.Member(ctx, id, "a/b?c")); m.Role != "member" {
		t.Errorf("member %+v", m)
	}
	member(c.UpdateMember(ctx, id, "a/b?c", MemberChange{Role: new("admin"), Attributes: map[string]int{"seat": 1}}, RevokeInvites(true)))
	done(t, c.RemoveMember(ctx, id, "a/b?c", RevokeInvites(false)))
	if m := member(bo.Introduce(ctx, id, Introduction{Name: new("Bob"), Profile: map[string]bool{"dog": true}})); m.Name != "Bob" {
		t.Errorf("introduced as %+v", m)
	}
	if got := all(t, c.Groups(ctx, Filter{OwnerID: "ana", Attributes: map[string]string{"place": "hill"}})); len(got) != 1 || got[0].ActiveAt.IsZero() {
		t.Errorf("found %+v", got)
	}

	// Requests, invites and invitations.
	if _, requested, err := cy.Join(ctx, id); err != nil || !requested {
		t.Fatalf("join: %t, %v", requested, err)
	}
	if got := all(t, cy.MyRequests(ctx)); len(got) != 1 || got[0].GroupName != "walk" {
		t.Errorf("requests %+v", got)
	}
	done(t, cy.WithdrawRequest(ctx, id))
	for _, answer := range []func(){
		func() { done(t, c.RejectRequest(ctx, id, "cy")) },
		func() { member(c.ApproveRequest(ctx, id, "cy")) },
	} {
		if _, _, err := cy.Join(ctx, id); err != nil {
			t.Fatal(err)
		}
		if got := all(t, c.Requests(ctx, id)); len(got) != 1 || got[0].Name != "CY" {
			t.Errorf("applicants %+v", got)
		}
		answer()
	}
	done(t, c.Leave(ctx, id, "cy"))
	invite := must[NewInvite](t)(c.CreateInvite(ctx, id, InviteBounds{MaxUses: new(3), ExpiresAt: &end}))
	if got := all(t, c.Invites(ctx, id)); len(got) != 1 || got[0].InviteID != invite.InviteID {
		t.Errorf("invites %+v", got)
	}
	member(cy.AcceptInvite(ctx, invite.Code))
	done(t, c.RevokeInvite(ctx, id, invite.InviteID))
	if added := must[AddedMembers](t)(ana.AddMembers(ctx, id, []string{"dee", "ed"}, nil)); len(added.Invited) != 2 {
		t.Errorf("invited %+v", added)
	}
	dee, ed := c.As(user(t, "dee")), c.As(user(t, "ed"))
	if got := all(t, dee.MyInvitations(ctx)); len(got) != 1 || got[0].InvitedBy != "ana" {
		t.Errorf("invitations %+v", got)
	}
	member(dee.AcceptInvitation(ctx, id))
	done(t, ed.DeclineInvitation(ctx, id))

	// Messages.
	post := must[Event](t)
	first := post(bo.Post(ctx, id, "", map[string]string{"text": "hi"}))
	post(bo.EditMessage(ctx, id, first.Version, map[string]string{"text": "hello"}))
	second := post(bo.Post(ctx, id, "note", nil))
	post(c.DeleteMessage(ctx, id, second.Version))
	messages := all(t, c.Messages(ctx, id))
	if len(messages) != 2 || messages[0].DeletedAt == nil || messages[1].EditedAt == nil || string(messages[1].Data) != `{"text":"hello"}` {
		t.Errorf("messages %+v", messages)
	}
	events := all(t, c.Events(ctx, id, 0))
	for i, e := range events {
		if e.Version != int64(i)+1 {
			t.Fatalf("event %d has version %d", i, e.Version)
		}
	}
	done(t, bo.Signal(ctx, id, "typing", nil, []string{"ana"}))
	done(t, bo.MarkRead(ctx, id, "", first.Version))
	done(t, c.MarkRead(ctx, id, "cy", 3))
	members := all(t, c.Members(ctx, id))
	if i := slices.IndexFunc(members, func(m ListedMember) bool { return m.UserID == "bo" }); len(members) != 4 || *members[i].ReadVersion < first.Version {
		t.Errorf("members %+v", members)
	}
	if got := all(t, c.Presences(ctx, id)); len(got) != 0 {
		t.Errorf("present %+v", got)
	}
	if got := must[Mute](t)(c.Mute(ctx, id, "cy", &end)); got.ExpiresAt == nil {
		t.Errorf("mute %+v", got)
	}
	if got := all(t, c.Mutes(ctx, id)); len(got) != 1 || got[0].UserID != "cy" {
		t.Errorf("mutes %+v", got)
	}
	done(t, c.Unmute(ctx, id, "cy"))
	if got := must[Ban](t)(c.Ban(ctx, id, "cy", NewBan{Reason: "spam"})); got.Reason != "spam" {
		t.Errorf("ban %+v", got)
	}
	if got := all(t, c.Bans(ctx, id)); len(got) != 1 {
		t.Errorf("bans %+v", got)
	}
	done(t, c.Unban(ctx, id, "cy"))

	// Owners.
	for _, answer := range []func(){
		func() { done(t, bo.DeclineOwnership(ctx, id)) },
		func() { group(bo.AcceptOwnership(ctx, id)) },
	} {
		if _, offered, err := ana.Transfer(ctx, id, "bo"); err != nil || !offered {
			t.Fatalf("offer: %t, %v", offered, err)
		}
		answer()
	}
	if got, offered, err := c.Transfer(ctx, id, "ana"); err != nil || offered || got.OwnerID != "ana" {
		t.Fatalf("transfer: %+v %t, %v", got, offered, err)
	}

	// Users.
	if got := must[User](t)(c.User(ctx, "ana")); got.Owned != 1 || !got.Complete {
		t.Errorf("user %+v", got)
	}
	for name, mine := range map[string][]Membership{"of a user": all(t, c.UserGroups(ctx, "bo")), "own": all(t, bo.MyGroups(ctx))} {
		if len(mine) != 1 || mine[0].Role != "admin" {
			t.Errorf("groups %s: %+v", name, mine)
		}
	}
	must[Job](t)(c.RenameUser(ctx, "bo", "Robert"))
	exported := must[io.ReadCloser](t)(c.ExportUser(ctx, "bo"))
	if data, err := io.ReadAll(exported); err != nil || !json.Valid(data) {
		t.Errorf("exported %s, %v", data, err)
	}
	done(t, exported.Close())
	done(t, c.DisconnectUser(ctx, "bo"))
	done(t, c.RevokeTokens(ctx, "bo", time.Now().Add(-time.Hour)))
	job := must[Job](t)(c.EraseUser(ctx, "dee"))
	if got := must[Erasure](t)(c.Erasure(ctx, job.JobID)); got.StartedAt.IsZero() {
		t.Errorf("erasure %+v", got)
	}

	// Calls for operators.
	if got := all(t, c.Audit(ctx, AuditFilter{Actor: "shop", Target: id, Since: time.Now().Add(-time.Hour)})); len(got) == 0 || got[0].Via == "" {
		t.Errorf("audit %+v", got)
	}
	if got := must[Nodes](t)(c.Nodes(ctx)); len(got.Items) != 1 {
		t.Errorf("nodes %+v", got)
	}
	answers := must[[]BatchAnswer](t)(c.Batch(ctx, []BatchCall{{Method: "GET", Path: "/groups/" + id}, {Method: "GET", Path: "/groups/none"}}))
	if len(answers) != 2 || answers[0].Err() != nil || Code(answers[1].Err()) != "not_found" {
		t.Errorf("batch %+v", answers)
	}

	// Hooks.
	hook := must[Webhook](t)
	got := hook(c.CreateWebhook(ctx, NewWebhook{Name: "billing", URL: "http://127.0.0.1:1/", Events: []string{"member.*"}}))
	if rotated := hook(c.UpdateWebhook(ctx, "billing", WebhookChange{Rotate: true, Enabled: new(false)})); rotated.Secret == "" || rotated.Secret == got.Secret || rotated.Enabled {
		t.Errorf("created %+v, then %+v", got, rotated)
	}
	if got := all(t, c.Webhooks(ctx)); len(got) != 1 || got[0].Secret != "" {
		t.Errorf("hooks %+v", got)
	}
	all(t, c.WebhookGroups(ctx, "billing"))
	done(t, c.ReplayWebhook(ctx, "billing", Replay{GroupID: id, Since: "start"}))
	if got := must[TestResult](t)(c.TestWebhook(ctx, "billing")); got.Accepted || got.Problem == "" {
		t.Errorf("a receiver that is not there: %+v", got)
	}
	done(t, c.DeleteWebhook(ctx, "billing"))

	done(t, c.DeleteGroup(ctx, id))
	if _, err := c.Group(ctx, id); Code(err) != "not_found" {
		t.Errorf("a deleted group: %v", err)
	}
	document.needAll()
}
