package sqlhooks_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/hook"
)

// testPresenceDeletedGroup checks that the presence rows of a deleted group are removed.
func testPresenceDeletedGroup(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	p.saw(g, "+ana")
	p.exec(`DELETE FROM groups`)
	if ids, err := p.store.Check(p.Context(), 10, time.Hour); err != nil || len(ids) != 1 {
		p.Fatal(ids, err)
	}
	t := p.one(h)
	page, text := p.read(t)
	p.want("delivered", text, "")
	p.done(t, page.Upto)
	p.want("rows", p.rows(), "0 0 0")
}

// testPresenceErased erases a user while presence changes of that user are not delivered
// yet.
func testPresenceErased(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	p.saw(g, "+bo", "+cy")
	_, err := p.store.Failed(p.Context(), p.one(h), hook.Failure{Status: 400, Problem: "what is bo?"})
	p.must(err)
	if done, err := p.log.ForgetIn(p.Context(), g, "bo", 1); err != nil || !done {
		p.Fatal(done, err)
	}
	found, err := p.world.store.Groups(p.Context(), h.ID, hook.Place{Due: math.MaxInt64}, 1)
	p.must(err)
	if len(found) != 1 || found[0].Problem != "" {
		p.Errorf("%+v", found)
	}
	p.want("delivered", p.sent(h), "cy online")
}

// testPresenceConcurrently records changes on several connections while two hooks receive
// them. Both hooks must end with the last change of each user.
func testPresenceConcurrently(w *world) {
	p := w.presences()
	hooks := []hook.Hook{p.chooses("a", "presence.*"), p.chooses("b", "presence.*")}
	groups := []string{p.group(), p.group(), p.group()}
	var writing, telling sync.WaitGroup
	written := make(chan struct{})
	for node := range 4 {
		writing.Go(func() {
			for i := range 40 {
				var reports []hook.Report
				for u := range 3 {
					at := time.Now()
					reports = append(reports, hook.Report{GroupID: groups[(node+i+u)%3], UserID: fmt.Sprint("u", u), Online: (node+i)%2 == 0, At: at, Seen: at})
				}
				if _, err := p.store.Record(p.Context(), reports); err != nil {
					p.Error(err)
				}
			}
		})
	}
	last := make([]map[string]bool, len(hooks))
	for i, h := range hooks {
		last[i] = make(map[string]bool)
		telling.Go(func() {
			for over := false; !over; {
				select {
				case <-written:
					over = true
				default:
				}
				for turns := p.claim(h); len(turns) > 0; turns = p.claim(h) {
					over = false
					for _, t := range turns {
						page, text := p.read(t)
						if strings.Contains(text, "growing") {
							p.Error(text)
						}
						for _, c := range page.Presence {
							last[i][t.GroupID+c.UserID] = c.Type == hook.PresenceOnline
						}
						_, err := p.store.Done(p.Context(), t, page.Upto, 200, false, false)
						if err != nil {
							p.Error(err)
						}
					}
				}
			}
		})
	}
	writing.Wait()
	close(written)
	telling.Wait()
	online := 0
	for _, g := range groups {
		told, err := p.store.Told(p.Context(), g)
		p.must(err)
		for _, r := range told {
			online++
			for i := range hooks {
				if !r.Online || !last[i][g+r.UserID] {
					p.Errorf("%s of %s is online: %v, and hook %d got %v", r.UserID, g, r.Online, i, last[i][g+r.UserID])
				}
			}
		}
	}
	for i := range hooks {
		n := 0
		for _, is := range last[i] {
			if is {
				n++
			}
		}
		if n != online {
			p.Errorf("hook %d got that %d users are online, want %d", i, n, online)
		}
	}
}
