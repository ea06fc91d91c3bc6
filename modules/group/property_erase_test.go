package group_test

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// nowhere is an [upkeep.Elsewhere] without sockets and tokens.
type nowhere struct{}

func (nowhere) CutOff(context.Context, string, time.Time) error { return nil }
func (nowhere) EndPresence(string, string)                      {}
func (nowhere) Forget(context.Context, string) error            { return nil }

// erase erases a user, unless the group would be deleted with them. Afterwards the group
// does not know the user, who may come back as a new one.
func (m *machine) erase(t *rapid.T, st grouptest.Store, userID string) {
	_, member := m.state.Roles[userID]
	if member && len(m.state.Roles) == 1 {
		return
	}
	begun, err := m.EraseUser(t.Context(), backend, userID)
	if err != nil {
		t.Fatal(err)
	}
	eraser := upkeep.NewEraser(m.Service, st, nowhere{}, slog.New(slog.DiscardHandler))
	for done := false; !done; {
		job, err := st.Erasure(t.Context(), begun.ID)
		if err != nil {
			t.Fatal(err)
		}
		next, _, last, err := eraser.Continue(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		if last {
			if done, err = st.FinishErasure(t.Context(), job); err != nil {
				t.Fatal(err)
			}
		}
		if err := st.AdvanceErasure(t.Context(), next, 0); err != nil {
			t.Fatal(err)
		}
	}
	m.fold(t)
	delete(m.bans, userID)
	delete(m.waiting, userID)
	delete(m.left, userID)
	delete(m.invited, userID)
	m.speech.forget(userID)
	if member {
		m.revokeAllOf(userID)
	}
	for _, i := range m.issued {
		if i.CreatedBy == userID {
			i.CreatedBy = ""
		}
	}
	m.namesNobody(t, st, userID)
}

// namesNobody checks that the log has no gaps and does not mention the user.
func (m *machine) namesNobody(t *rapid.T, st grouptest.Store, userID string) {
	page, err := st.Read(t.Context(), m.groupID, 0, 10_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range page.Events {
		if e.Version != int64(i)+1 {
			t.Fatalf("event %d of the log has version %d", i, e.Version)
		}
		if e.Actor != nil && *e.Actor == userID || e.Type != group.MessagePosted && strings.Contains(string(e.Data), `"`+userID+`"`) {
			t.Fatalf("the log still names %s: %+v, %s", userID, e, e.Data)
		}
	}
}
