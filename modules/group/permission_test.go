package group

import (
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// TestActionsHaveScopes checks that each action needs a scope. An action without a scope
// would be allowed for every token.
func TestActionsHaveScopes(t *testing.T) {
	t.Parallel()
	for a := range permissions {
		if permissions[a].call == 0 {
			t.Errorf("action %d has no scope", a)
		}
	}
}

// TestActionsAreRecorded checks that each action that changes a group has a name in the
// audit log.
func TestActionsAreRecorded(t *testing.T) {
	t.Parallel()
	// actChangeRole is a part of actChangeMember.
	changesNothing := map[action]bool{actView: true, actRead: true, actSignal: true, actChangeRole: true}
	for a, p := range permissions {
		if changesNothing[a] != (p.recorded == "") {
			t.Errorf("action %d is recorded as %q", a, p.recorded)
		}
	}
}

// who has the callers of the permission table's columns.
var who = []struct {
	name   string
	caller auth.Identity
	member *Member
}{
	{"outsider", auth.Identity{UserID: "u"}, nil},
	{"member", auth.Identity{UserID: "u"}, &Member{Role: MemberRole}},
	{"admin", auth.Identity{UserID: "u"}, &Member{Role: Admin}},
	{"owner", auth.Identity{UserID: "u"}, &Member{Role: Owner}},
	{"back end", auth.Identity{UserID: "u", Admin: true}, nil},
}

// TestPermissionTable checks the whole table. Each cell is "yes" or the code of the error.
func TestPermissionTable(t *testing.T) {
	t.Parallel()
	const yes, no, out = "yes", "forbidden", "not_member"
	table := map[action][5]string{ // the columns: outsider of a public group, member, admin, owner, back end
		actView:             {yes, yes, yes, yes, yes},
		actJoin:             {yes, yes, yes, yes, yes},
		actRead:             {out, yes, yes, yes, yes},
		actPost:             {out, yes, yes, yes, yes},
		actEditMessage:      {out, yes, yes, yes, yes},
		actDeleteMessage:    {out, yes, yes, yes, yes},
		actSignal:           {out, yes, yes, yes, yes},
		actLeave:            {out, yes, yes, yes, yes},
		actIntroduce:        {out, yes, yes, yes, yes},
		actUpdate:           {out, no, yes, yes, yes},
		actAddMembers:       {out, no, yes, yes, yes},
		actAnswerInvitation: {out, yes, yes, yes, yes},
		actChangeMember:     {out, no, yes, yes, yes},
		actRemoveMember:     {out, no, yes, yes, yes},
		actChangeRole:       {out, no, no, yes, yes},
		actRequests:         {out, no, yes, yes, yes},
		actWithdraw:         {yes, yes, yes, yes, yes},
		actInvite:           {out, no, yes, yes, yes},
		actBan:              {out, no, yes, yes, yes},
		actMute:             {out, no, yes, yes, yes},
		actTransfer:         {out, no, no, yes, yes},
		actAnswerOffer:      {out, yes, yes, yes, yes},
		actDelete:           {out, no, no, yes, yes},
	}
	if len(table) != len(permissions) {
		t.Fatalf("the test knows %d actions, the package %d", len(table), len(permissions))
	}
	for a, row := range table {
		for i, w := range who {
			if got := codeOf(allow(a, w.caller, Group{Visibility: Public}, w.member)); got != row[i] {
				t.Errorf("action %d by %s of a public group: %s, want %s", a, w.name, got, row[i])
			}
			want := row[i]
			if w.name == "outsider" {
				want = "not_found"
			}
			if got := codeOf(allow(a, w.caller, Group{Visibility: Private}, w.member)); got != want {
				t.Errorf("action %d by %s of a private group: %s, want %s", a, w.name, got, want)
			}
		}
	}
}

func TestReachOfRoles(t *testing.T) {
	t.Parallel()
	for target, want := range map[Role]string{
		MemberRole: "admin owner back end",
		Admin:      "owner back end",
		Owner:      "owner back end",
	} {
		var got []string
		for _, w := range who[1:] {
			if allowOn(w.caller, w.member, Member{Role: target}) == nil {
				got = append(got, w.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s can be acted on by %v, want %s", target, got, want)
		}
	}
}

// TestReachOfMessages checks that a message can be changed only by its author, admins, the
// owner and back ends.
func TestReachOfMessages(t *testing.T) {
	t.Parallel()
	self, someone := "u", "someone"
	for want, author := range map[string]*string{
		"member admin owner back end": &self,
		"admin owner back end":        &someone,
	} {
		var got []string
		for _, w := range who[1:] {
			if allowMessage(w.caller, w.member, author) == nil {
				got = append(got, w.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("a message of %s can be changed by %v, want %s", *author, got, want)
		}
	}
	if allowMessage(who[1].caller, who[1].member, nil) == nil {
		t.Error("a member may change a message without an author")
	}
}

// TestMutedSpeech checks that muted members cannot post, edit or signal. A mute does not
// apply to back ends.
func TestMutedSpeech(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := now.Add(time.Second)
	for a := range permissions {
		for _, w := range who[1:] {
			want := "yes"
			if (a == actPost || a == actEditMessage || a == actSignal) && w.name != "back end" {
				want = "muted"
			}
			muted := Member{Muted: true}
			if w.member != nil {
				muted.Role = w.member.Role
			}
			if got := codeOf(allowSpeech(a, w.caller, Group{}, &muted, now)); got != want {
				t.Errorf("action %d by a muted %s: %s, want %s", a, w.name, got, want)
			}
			muted.MutedUntil = &later
			if got := codeOf(allowSpeech(a, w.caller, Group{}, &muted, now)); got != want {
				t.Errorf("action %d by a %s who is muted for now: %s, want %s", a, w.name, got, want)
			}
			if got := codeOf(allowSpeech(a, w.caller, Group{}, &muted, later)); got != "yes" {
				t.Errorf("action %d by a %s who was muted: %s", a, w.name, got)
			}
		}
	}
}

// TestPostingByAdmins checks that members cannot post in groups in which only admins post.
func TestPostingByAdmins(t *testing.T) {
	t.Parallel()
	for a := range permissions {
		for _, w := range who[1:] {
			want := "yes"
			if (a == actPost || a == actEditMessage || a == actSignal) && w.name == "member" {
				want = "forbidden"
			}
			if got := codeOf(allowSpeech(a, w.caller, Group{Posting: PostingAdmins}, w.member, time.Now())); got != want {
				t.Errorf("action %d by %s where admins post: %s, want %s", a, w.name, got, want)
			}
			if got := codeOf(allowSpeech(a, w.caller, Group{Posting: PostingMembers}, w.member, time.Now())); got != "yes" {
				t.Errorf("action %d by %s where members post: %s", a, w.name, got)
			}
		}
	}
}

func codeOf(err error) string {
	if err == nil {
		return "yes"
	}
	return fault.From(err).Code
}
