package upkeep_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// The user who is erased. All their texts contain mark, and their id has characters that
// JSON escapes.
const (
	erasedID = `vic"tim\é<1>`
	mark     = "mark-1b9f"
)

// TestEraseLeavesNothing checks that no table has the user's id or texts after a job. Logs
// must have no gaps, and data of other users must stay.
func TestEraseLeavesNothing(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
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
			t.Errorf("data of the user is left in %q", found)
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
		// The user owned three groups: the first two, and the one that has a receipt.
		if job.UserID != "" || job.FinishedAt == nil || job.Erased.GroupsLeft != 4 || job.Erased.GroupsHandedOver != 1 || job.Erased.GroupsEnded != 2 {
			t.Errorf("the job is %+v", job)
		}
		if job.Erased.MessagesBlanked < 6 || job.Erased.EventsBlanked < 2*job.Erased.MessagesBlanked {
			t.Errorf("blanked: %+v", job.Erased)
		}
		if out.cut == 0 || out.forgot == 0 || !slices.Contains(out.absent, l.shared.ID) {
			t.Errorf("outside of the database: %+v", out)
		}
	})
}

// TestEraseWhoIsAddedMeanwhile has a back end that adds the user again while the job runs.
// The job must erase the user there, too, and end.
func TestEraseWhoIsAddedMeanwhile(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		l := newLife(t, db)
		id := do[group.Erasure](l)(l.EraseUser(l.ctx, l.backend, erasedID)).ID
		adds := &addsOnce{outside: &outside{}, add: func() {
			do[group.AddedMembers](l)(l.AddMembers(l.ctx, l.backend, l.shared.ID, dto.AddMembersRequest{UserIDs: []string{erasedID}}))
			l.post(l.victim, l.shared.ID, mark)
		}}
		l.run(id, adds)
		if found := l.holding(); len(found) > 0 {
			t.Errorf("data of the user is left in %q", found)
		}
		if job := do[group.Erasure](l)(l.Erasure(l.ctx, l.backend, id)); job.Erased.GroupsLeft != 5 {
			t.Errorf("the job counts %d groups left, want 5", job.Erased.GroupsLeft)
		}
	})
}

// addsOnce adds the user again when the job is almost done.
type addsOnce struct {
	*outside
	once sync.Once
	add  func()
}

func (a *addsOnce) Forget(context.Context, string) error {
	a.once.Do(a.add)
	return nil
}

// TestEraserWorks checks that the eraser runs a job on its own, and that its log lines do
// not contain the user's id or texts.
func TestEraserWorks(t *testing.T) {
	t.Parallel()
	l := newLife(t, servicetest.OpenDatabase(t, ""))
	id := do[group.Erasure](l)(l.EraseUser(l.ctx, l.backend, erasedID)).ID
	var log childtest.Log
	out := &failsOnce{outside: &outside{}}
	e := upkeep.NewEraser(l.Service, l.Store, out, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l.must(e.Start(l.ctx))
	waittest.Until(t, "the job is done", func() bool {
		l.exec(`UPDATE erasures SET until = 0 WHERE until > $1`, time.Now().Add(time.Second).UnixMicro()) // expires claims and waits
		return do[group.Erasure](l)(l.Erasure(l.ctx, l.backend, id)).FinishedAt != nil
	})
	l.must(e.Stop(l.ctx))
	if found := l.holding(); len(found) > 0 {
		t.Errorf("data of the user is left in %q", found)
	}
	text := log.String()
	if !strings.Contains(text, id) || !strings.Contains(text, "could not erase") || strings.Contains(text, "vic") || strings.Contains(text, mark) {
		t.Errorf("logged: %s", text)
	}
}

// failsOnce fails once, with an error that contains the user's id.
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
