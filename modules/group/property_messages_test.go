package group_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"pgregory.net/rapid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// speech has the messages of the group, and the mutes.
type speech struct {
	adminsOnly bool
	mutes      map[string]*time.Time // when each mute expires; nil: never
	said       []*said
	texts      int
}

// said is a message. Each message has a different text. The text is empty once the message
// is deleted.
type said struct {
	version    int64
	by, editor string
	text       string
}

// next returns a text that no message had before.
func (s *speech) next() string {
	s.texts++
	return fmt.Sprintf(`"text-%d"`, s.texts)
}

// pick returns a message, or one that does not exist.
func (s *speech) pick(t *rapid.T) *said {
	if i := rapid.IntRange(-1, len(s.said)-1).Draw(t, "message"); i >= 0 {
		return s.said[i]
	}
	return &said{version: 1} // the version of the group's first event
}

// forget applies a user's erasure to the model.
func (s *speech) forget(userID string) {
	delete(s.mutes, userID)
	for _, m := range s.said {
		if m.by == userID || m.editor == userID {
			m.text = ""
		}
	}
}

// mayPost returns the code that the caller must get for a post, or "ok".
func (m *machine) mayPost(caller auth.Identity) string {
	role, in := m.state.Roles[caller.UserID]
	until, muted := m.speech.mutes[caller.UserID]
	switch {
	case !in:
		return "not_member"
	case muted && (until == nil || until.After(m.now)):
		return "muted"
	case m.speech.adminsOnly && role == group.MemberRole:
		return "forbidden"
	default:
		return "ok"
	}
}

// mayChange returns the code that the caller must get for a change of a message, or "ok".
func (m *machine) mayChange(caller auth.Identity, of *said) string {
	role, in := m.state.Roles[caller.UserID]
	switch {
	case !in:
		return "not_member"
	case of.text == "":
		return "not_found"
	case of.by != caller.UserID && role == group.MemberRole:
		return "forbidden"
	default:
		return "ok"
	}
}

func needCode(t *rapid.T, what string, caller auth.Identity, err error, want string) {
	if servicetest.Code(err) != want {
		t.Fatalf("%s %s: %v, want %s", caller.UserID, what, err, want)
	}
}

// speak returns the actions that post, edit and delete messages, and that mute users.
func (m *machine) speak(anyone, chief *rapid.Generator[auth.Identity]) map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"post": func(t *rapid.T) {
			caller, text := chief.Draw(t, "caller"), m.speech.next()
			posted, err := m.Post(t.Context(), caller, m.groupID, dto.MessageRequest{Data: json.RawMessage(text)})
			needCode(t, "posts", caller, err, m.mayPost(caller))
			if err == nil {
				m.speech.said = append(m.speech.said, &said{version: posted.Version, by: caller.UserID, text: text})
			}
		},
		"edit": func(t *rapid.T) {
			caller, of, text := chief.Draw(t, "caller"), m.speech.pick(t), m.speech.next()
			want := m.mayPost(caller)
			if want == "ok" {
				want = m.mayChange(caller, of)
			}
			_, err := m.EditMessage(t.Context(), caller, m.groupID, of.version, dto.EditMessageRequest{Data: json.RawMessage(text)})
			needCode(t, "edits", caller, err, want)
			if err == nil {
				of.text, of.editor = text, caller.UserID
			}
		},
		"delete message": func(t *rapid.T) {
			caller, of := chief.Draw(t, "caller"), m.speech.pick(t)
			want := m.mayChange(caller, of)
			_, err := m.DeleteMessage(t.Context(), caller, m.groupID, of.version)
			needCode(t, "deletes", caller, err, want)
			if err == nil {
				of.text = ""
			}
		},
		"mute": func(t *rapid.T) {
			target, until := anyone.Draw(t, "target").UserID, m.sometime(t)
			_, err := m.Mute(t.Context(), chief.Draw(t, "caller"), m.groupID, target, dto.MuteRequest{ExpiresAt: until})
			expect(t, err, "not_found", "not_member", "forbidden")
			if err == nil {
				m.speech.mutes[target] = until
			}
		},
		"unmute": func(t *rapid.T) {
			target := anyone.Draw(t, "target").UserID
			err := m.Unmute(t.Context(), chief.Draw(t, "caller"), m.groupID, target)
			expect(t, err, "not_member", "forbidden")
			if err == nil {
				delete(m.speech.mutes, target)
			}
		},
		"posting": func(t *rapid.T) {
			posting := rapid.SampledFrom([]string{"members", "admins"}).Draw(t, "posting")
			_, err := m.Update(t.Context(), chief.Draw(t, "caller"), m.groupID, nil, dto.UpdateRequest{Posting: &posting})
			expect(t, err, "not_member", "forbidden")
			if err == nil {
				m.speech.adminsOnly = posting == "admins"
			}
		},
		"read": func(t *rapid.T) {
			version := rapid.Int64Range(0, m.state.Version).Draw(t, "version")
			err := m.MarkRead(t.Context(), anyone.Draw(t, "caller"), m.groupID, dto.ReadRequest{Version: &version})
			expect(t, err, "not_member")
		},
	}
}

var aText = regexp.MustCompile(`"text-\d+"`)

// checkSpeech checks the list of messages, the log from its start, and the numbers of
// unread messages against the model.
func (m *machine) checkSpeech(t *rapid.T, st grouptest.Store) {
	listed, err := m.Messages(t.Context(), backend, m.groupID, 0, 1000)
	if err != nil || len(listed) != len(m.speech.said) {
		t.Fatalf("%d messages, want %d: %v", len(listed), len(m.speech.said), err)
	}
	live := make(map[string]bool)
	for i, of := range m.speech.said {
		got, want := listed[len(listed)-1-i], of.text
		if want == "" {
			want = "null"
		} else {
			live[of.text] = true
		}
		if got.Version != of.version || string(got.Data) != want || (got.DeletedAt != nil) != (of.text == "") {
			t.Fatalf("message %d is %+v with %s, want %s", of.version, got, got.Data, want)
		}
	}
	page, err := st.Read(t.Context(), m.groupID, 0, 10_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Events {
		for _, text := range aText.FindAllString(string(e.Data), -1) {
			if !live[text] {
				t.Fatalf("the log still has %s, in event %d: %s", text, e.Version, e.Data)
			}
		}
	}
	for userID := range m.state.Roles {
		mine, err := st.UserGroups(t.Context(), userID, "", 1)
		if err != nil || len(mine) != 1 || mine[0].ID != m.groupID {
			t.Fatalf("the groups of %s: %+v, %v", userID, mine, err)
		}
		unread := int64(0)
		for _, of := range m.speech.said {
			if of.version > mine[0].ReadVersion && of.text != "" {
				unread++
			}
		}
		if mine[0].Unread != unread {
			t.Fatalf("%s has read to %d of %d and has %d unread messages, want %d", userID, mine[0].ReadVersion, m.state.Version, mine[0].Unread, unread)
		}
	}
}
