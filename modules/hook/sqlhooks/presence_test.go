package sqlhooks_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/hook/sqlhooks"
)

var presenceTests = map[string]func(w *world){
	"Presence":               testPresence,
	"PresenceCoalesces":      testPresenceCoalesces,
	"PresenceInTurn":         testPresenceInTurn,
	"PresenceRepeat":         testPresenceRepeat,
	"PresenceByChoice":       testPresenceByChoice,
	"PresenceHookMadeLater":  testPresenceLater,
	"PresenceIsKept":         testPresenceKept,
	"PresenceParks":          testPresenceParks,
	"PresenceOfDeletedGroup": testPresenceDeletedGroup,
	"PresenceOfErasedUser":   testPresenceErased,
	"PresenceConcurrently":   testPresenceConcurrently,
	"PresenceIsDelivered":    testPresenceDelivered,
	"PresenceIsChecked":      testPresenceChecked,
}

func (w *world) presences() *presences {
	return &presences{world: w, store: sqlhooks.NewPresence(w.db), at: time.Now()}
}

// testPresence reports users as online and offline. The row of an offline user must be
// deleted once the hook has received the change.
func testPresence(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	if n := p.saw(g, "+ana", "+bo"); n != 2 {
		p.Errorf("%d changes", n)
	}
	page, text := p.read(p.one(h))
	p.want("delivered", text, "ana online, bo online")
	if c := page.Presence[1]; c.GroupID != g || c.At.UnixMilli() != p.at.UnixMilli() || page.Upto != c.N {
		p.Errorf("%+v up to %d, at %s", c, page.Upto, p.at)
	}
	p.exec(`UPDATE hook_presence_groups SET due_at = 1`)
	if p.done(p.one(h), page.Upto) != nil {
		p.Error("there is a second delivery")
	}
	p.want("rows", p.rows(), "0 2 1")
	if n := p.saw(g, "+ana", "+bo"); n != 0 || len(p.claim(h)) > 0 {
		p.Errorf("repeated reports cause %d changes", n)
	}
	p.saw(g, "-bo")
	p.want("delivered", p.sent(h), "bo offline")
	p.want("rows", p.rows(), "0 1 1")
	p.saw(g, "-ana")
	p.want("delivered", p.sent(h), "ana offline")
	p.want("rows", p.rows(), "0 0 0")
	p.saw(g, "-cy") // cy was online before the hook was created
	p.want("delivered", p.sent(h), "cy offline")
	if n := p.saw(uuid.NewString(), "+ana"); n != 0 || p.rows() != "0 0 0" {
		p.Errorf("a group that does not exist: %d changes, %s rows", n, p.rows())
	}
}

// testPresenceCoalesces checks that a receiver that was down gets only the last change of
// each user.
func testPresenceCoalesces(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	p.saw(g, "+ana")
	page, _ := p.read(p.one(h))
	first := page.Presence[0].N
	for range 20 {
		p.saw(g, "-ana")
		p.saw(g, "+ana", "+bo")
	}
	p.saw(g, "-ana")
	late := hook.Report{GroupID: g, UserID: "ana", Online: true, At: p.at.Add(-time.Millisecond), Seen: p.at.Add(-time.Millisecond)}
	if n, err := p.store.Record(p.Context(), []hook.Report{late}); n != 0 || err != nil {
		p.Errorf("a late report causes %d changes, %v", n, err)
	}
	p.exec(`UPDATE hook_presence_groups SET due_at = 1, upto = 0`)
	page, text := p.read(p.one(h))
	p.want("delivered", text, "bo online, ana offline")
	if page.Presence[1].N <= first {
		p.Errorf("n was %d and is %d", first, page.Presence[1].N)
	}
}

// testPresenceInTurn checks the order if there are more changes than a delivery can hold,
// and a new change arrives while the first delivery is in progress.
func testPresenceInTurn(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	var come []string
	for i := range 150 {
		come = append(come, fmt.Sprintf("+u%03d", i))
	}
	p.saw(g, come...)
	t := p.one(h)
	page, text := p.read(t)
	if len(page.Presence) != hook.MaxEvents || page.Upto != page.Presence[99].N || !strings.HasPrefix(text, "u000 online, u001") {
		p.Fatalf("%d changes up to %d: %s", len(page.Presence), page.Upto, text)
	}
	if ok, err := p.store.Narrow(p.Context(), t, page.Upto); err != nil || !ok {
		p.Fatal(ok, err)
	}
	p.saw(g, "-u000", "+later")
	next := p.done(t, page.Upto)
	if next == nil {
		p.Fatal("the second delivery is missing")
	}
	page, text = p.read(*next)
	if len(page.Presence) != 52 || !strings.HasSuffix(text, "u149 online, u000 offline, later online") {
		p.Errorf("%d changes: %s", len(page.Presence), text)
	}
	if p.done(*next, page.Upto) != nil || len(p.claim(h)) > 0 {
		p.Error("there is a third delivery")
	}
	p.want("rows", p.rows(), "0 150 1")
}

// testPresenceRepeat fails a delivery. The retry must end with the same change, so that it
// has the same id and no events that the first attempt did not have.
func testPresenceRepeat(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	p.saw(g, "+ana", "+bo")
	t := p.one(h)
	old := t
	page, _ := p.read(t)
	p.saw(g, "-bo", "+cy")
	_, err := p.store.Failed(p.Context(), t, hook.Failure{Status: 500, Problem: "no", Unreachable: true, Retry: time.Hour})
	p.must(err)
	if len(p.claim(h)) > 0 {
		p.Error("the delivery is retried at once")
	}
	if n, err := p.store.Revive(p.Context(), h.ID, 10); err != nil || n != 1 {
		p.Errorf("revived %d, %v", n, err)
	}
	t = p.one(h)
	again, text := p.read(t)
	p.want("delivered by the retry", text, "ana online")
	if again.Upto != page.Upto {
		p.Errorf("the retry ends at %d, the first attempt at %d", again.Upto, page.Upto)
	}
	next := p.done(t, again.Upto)
	if next == nil {
		p.Fatal("the next delivery is missing")
	}
	_, text = p.read(*next)
	p.want("delivered next", text, "bo offline, cy online")
	p.exec(`UPDATE hook_presence_groups SET due_at = 1`)
	p.done(p.one(h), next.Upto)
	p.saw(g, "-cy")
	if t := p.one(h); t.Claim == old.Claim || p.done(old, math.MaxInt64) != nil || p.rows() == "0 0 0" {
		p.Error("an expired claim ends another one")
	}
}

// testPresenceByChoice checks that changes are stored only while a hook has chosen
// presence.
func testPresenceByChoice(w *world) {
	p := w.presences()
	p.chooses("all", "*")
	g := p.group()
	if n := p.saw(g, "+ana"); n != 0 || p.rows() != "0 0 0" {
		p.Errorf("%d changes, %s rows, although no hook has chosen presence", n, p.rows())
	}
	choose := func(name string, events ...string) hook.Hook {
		p.Helper()
		h, err := p.world.store.Change(p.Context(), name, func(h *hook.Hook) ([]audit.Entry, error) {
			h.Events = events
			return nil, nil
		})
		p.must(err)
		return h
	}
	all := choose("all", "*", "presence.online")
	other := p.chooses("other", "presence.offline")
	p.saw(g, "+ana")
	p.want("rows", p.rows(), "2 1 1")
	p.must(p.world.store.Delete(p.Context(), "other"))
	p.want("rows without one hook", p.rows(), "1 1 1")
	if len(p.claim(other)) > 0 || len(p.claim(all)) != 1 {
		p.Error("the deleted hook is due, or the other one is not")
	}
	choose("all", "*")
	p.want("rows without the last one", p.rows(), "0 0 0")
	p.saw(g, "-ana")
	choose("all", "presence.*")
	p.saw(g, "+ana")
	p.want("delivered after that", p.sent(all), "ana online")
}

// testPresenceLater checks that a hook receives only changes after its creation.
func testPresenceLater(w *world) {
	p := w.presences()
	first := p.chooses("first", "presence.*")
	g, idle := p.group(), p.group()
	p.saw(g, "+ana", "+bo")
	p.saw(idle, "+ana")
	second := p.chooses("second", "presence.*")
	p.saw(g, "-bo", "+cy")
	p.want("delivered to the second", p.sent(second), "bo offline, cy online")
	turns := p.claim(first)
	var got []string
	for _, t := range turns {
		page, text := p.read(t)
		got = append(got, text)
		p.done(t, page.Upto)
	}
	slices.Sort(got)
	p.want("delivered to the first", strings.Join(got, "; "), "ana online; ana online, bo offline, cy online")
	p.want("rows", p.rows(), "0 3 2")
}

// testPresenceKept has one hook that has received everything, and two that still have to
// receive different changes. An offline user's row must stay until the last hook has
// received the change.
func testPresenceKept(w *world) {
	p := w.presences()
	behind, first := p.chooses("behind", "presence.*"), p.chooses("first", "presence.*")
	g := p.group()
	p.saw(g, "+ana")
	p.saw(g, "-ana")
	later := p.chooses("later", "presence.*")
	p.saw(g, "+bo")
	p.want("delivered to the first", p.sent(first), "ana offline, bo online")
	p.want("delivered to the one behind", p.sent(behind), "ana offline, bo online")
	p.want("rows", p.rows(), "1 1 1")
	p.want("delivered to the later one", p.sent(later), "bo online")
}

// testPresenceParks parks the same group for presence and for events. Both must be listed,
// counted and resumed.
func testPresenceParks(w *world) {
	p := w.presences()
	h := p.chooses("a", "*", "presence.*")
	g := p.group()
	p.spread()
	p.saw(g, "+ana", "+bo", "+cy")
	fail := func(t hook.Turn, in hook.Ends) {
		p.Helper()
		_, err := in.Failed(p.Context(), t, hook.Failure{Status: 400, Problem: "no", Retry: time.Hour})
		p.must(err)
	}
	fail(p.one(h), p.store)
	fail(p.world.one(h), p.world.store)
	p.exec(`UPDATE hook_presence_groups SET due_at = 1, failed_at = failed_at - $1`, hook.Patience.Microseconds())
	p.exec(`UPDATE hook_groups SET due_at = 1, failed_at = failed_at - $1`, hook.Patience.Microseconds())
	fail(p.one(h), p.store)
	fail(p.world.one(h), p.world.store)
	var got []string
	for place := (hook.Place{Due: math.MaxInt64, GroupID: "\U0010ffff"}); ; {
		found, err := p.world.store.Groups(p.Context(), h.ID, place, 1)
		p.must(err)
		if len(found) == 0 {
			break
		}
		place, err = hook.ParsePlace(found[0].Place.String())
		p.must(err)
		got = append(got, fmt.Sprint(found[0].State, " ", found[0].Presence, " ", found[0].Lag, " ", found[0].LastReply))
	}
	p.want("listed", strings.Join(got, ", "), "parked true 3 400, parked false 1 400")
	if b, err := p.world.store.Backlog(p.Context(), h.ID); err != nil || b.Parked != 2 || b.Waiting != 2 {
		p.Errorf("%+v, %v", b, err)
	}
	for _, id := range []string{g, ""} {
		p.must(p.world.store.Resume(p.Context(), h.ID, id))
		t := p.one(h)
		if len(p.world.claim(h)) != 1 {
			p.Error("the group's events are not due again")
		}
		fail(t, p.store)
		p.exec(`UPDATE hook_groups SET claimed = FALSE, due_at = due_at + 1000000000`)
	}
}
