package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
)

type object = map[string]any

// theatre is a node with all callers.
type theatre struct {
	people   map[string]*person
	document *apiDocument
	made     atomic.Int64 // the number of calls
	hooks    atomic.Int64
}

// stage is a group of one kind. Some of the callers are in it, and so are other users whom the
// calls affect.
type stage struct {
	*theatre
	kind
	id string

	mu    sync.Mutex
	spare map[string][]string // users, messages and other things that calls affect, by sort
}

// The sorts of users and things that calls affect.
const (
	aMember    = "a member"
	anAdmin    = "an admin"
	anAsker    = "who asked to join"
	aStranger  = "a stranger"
	anInvite   = "an invite"
	aCode      = "a code"
	messagesOf = "messages of "
)

// next returns the next thing of a sort. If kept is set, the next call gets the same one.
func (s *stage) next(t *testing.T, sort string, kept bool) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	things := s.spare[sort]
	if len(things) == 0 {
		t.Errorf("a %s has no more of %q", s.kind, sort)
		return "nobody"
	}
	if !kept {
		s.spare[sort] = things[1:]
	}
	return things[0]
}

// as makes a call that must succeed.
func (s *stage) as(t *testing.T, caller, method, path string, body any) json.RawMessage {
	t.Helper()
	p := s.people[caller]
	if p == nil {
		p = newPerson(t, s.people[backend].client, s.people[backend].url, caller, false)
	}
	a := p.call(t, method, strings.ReplaceAll(path, "{groupId}", s.id), body)
	if a.status >= 300 {
		t.Errorf("cannot set the stage: %s %s by %s: %d %s", method, path, caller, a.status, a.body)
	}
	return a.body
}

// set creates a group of this kind for some callers. If things is set, it also creates all things
// that calls affect.
func (h *theatre) set(t *testing.T, k kind, things bool, who ...string) *stage {
	t.Helper()
	s := &stage{theatre: h, kind: k, spare: make(map[string][]string)}
	var made struct{ ID string }
	if err := json.Unmarshal(s.as(t, backend, http.MethodPost, "/groups", object{
		"name": k.String(), "visibility": "public", "joinPolicy": "request", "ownerId": owner,
	}), &made); err != nil {
		t.Error(err)
	}
	s.id = made.ID
	has := func(caller string) bool { return things || slices.Contains(who, caller) }
	var members []string
	for _, caller := range []string{member, silenced, admin} {
		if has(caller) {
			members = append(members, caller)
		}
	}
	if things {
		for n := range 16 {
			s.add(aMember, fmt.Sprint("m", n))
			s.add(aStranger, fmt.Sprint("s", n))
		}
		for n := range 8 {
			s.add(anAdmin, fmt.Sprint("a", n))
			s.add(anAsker, fmt.Sprint("q", n))
		}
		members = slices.Concat(members, s.spare[aMember], s.spare[anAdmin])
	}
	if len(members) > 0 {
		s.as(t, backend, http.MethodPost, "/groups/{groupId}/members", object{"userIds": members})
	}
	if has(admin) {
		s.as(t, owner, http.MethodPatch, "/groups/{groupId}/members/"+admin, object{"role": "admin"})
	}
	if has(requester) {
		s.as(t, requester, http.MethodPost, "/groups/{groupId}/join", nil)
	}
	if has(invited) {
		s.as(t, owner, http.MethodPost, "/groups/{groupId}/members", object{"userIds": []string{invited}})
	}
	if has(banned) {
		s.as(t, backend, http.MethodPut, "/groups/{groupId}/bans/"+banned, nil)
	}
	if things {
		s.prepare(t)
	} else {
		s.addCode(t)
	}
	if has(silenced) {
		s.as(t, backend, http.MethodPut, "/groups/{groupId}/mutes/"+silenced, nil)
	}
	s.turn(t)
	return s
}

func (s *stage) add(sort, thing string) { s.spare[sort] = append(s.spare[sort], thing) }

func (s *stage) addCode(t *testing.T) {
	t.Helper()
	var made struct{ InviteID, Code string }
	if err := json.Unmarshal(s.as(t, backend, http.MethodPost, "/groups/{groupId}/invites", nil), &made); err != nil {
		t.Error(err)
	}
	s.add(anInvite, made.InviteID)
	s.spare[aCode] = []string{made.Code} // of the last invite, which no call revokes
}

// prepare creates the things that calls affect.
func (s *stage) prepare(t *testing.T) {
	t.Helper()
	for _, userID := range s.spare[anAdmin] {
		s.as(t, owner, http.MethodPatch, "/groups/{groupId}/members/"+userID, object{"role": "admin"})
	}
	for _, userID := range s.spare[anAsker] {
		s.as(t, userID, http.MethodPost, "/groups/{groupId}/join", nil)
	}
	for range 5 {
		s.addCode(t)
	}
	for _, caller := range []string{member, silenced, owner} { // for the others, the owner's messages are those of somebody else
		for range 10 {
			var posted struct{ Version int64 }
			if err := json.Unmarshal(s.as(t, caller, http.MethodPost, "/groups/{groupId}/messages", object{"data": 1}), &posted); err != nil {
				t.Error(err)
			}
			s.add(messagesOf+caller, fmt.Sprint(posted.Version))
		}
	}
}

// turn gives the group the properties of its kind. A group that ends does so later. See
// [stage.await].
func (s *stage) turn(t *testing.T) {
	t.Helper()
	patch := object{}
	if s.visibility != "public" {
		patch["visibility"] = s.visibility
	}
	if s.policy != "request" {
		patch["joinPolicy"] = s.policy
	}
	if s.posting != "members" {
		patch["posting"] = s.posting
	}
	if s.ended {
		patch["endsAt"] = time.Now().Add(2 * time.Second)
	}
	if len(patch) > 0 {
		s.as(t, backend, http.MethodPatch, "/groups/{groupId}", patch)
	}
}

// await waits until the group has ended, if its kind is ended.
func (s *stage) await(t *testing.T) {
	t.Helper()
	if !s.ended {
		return
	}
	var g struct{ EndedAt *time.Time }
	waittest.Until(t, "the group ends", func() bool {
		if err := json.Unmarshal(s.as(t, backend, http.MethodGet, "/groups/{groupId}", nil), &g); err != nil {
			t.Fatal(err)
		}
		return g.EndedAt != nil
	})
}
