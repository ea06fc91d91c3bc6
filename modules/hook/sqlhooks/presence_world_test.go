package sqlhooks_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/hook/sqlhooks"
)

// presences is a world with a presence store.
type presences struct {
	*world

	store *sqlhooks.Presence
	at    time.Time
}

func (p *presences) chooses(name string, events ...string) hook.Hook {
	p.Helper()
	h, err := p.world.store.Create(p.Context(), hook.Hook{ID: uuid.NewString(), Name: name, Source: hook.FromAPI, URL: "https://example.org/", Events: events, Secret: webhook.NewSecret()}, false)
	p.must(err)
	return h
}

// saw records that users came online (+) or went offline (-), in this order. It returns the
// number of changes.
func (p *presences) saw(groupID string, users ...string) int {
	p.Helper()
	var reports []hook.Report
	for _, u := range users {
		p.at = p.at.Add(time.Millisecond)
		reports = append(reports, hook.Report{GroupID: groupID, UserID: u[1:], Online: u[0] == '+', At: p.at, Seen: p.at})
	}
	n, err := p.store.Record(p.Context(), reports)
	p.must(err)
	return n
}

func (p *presences) claim(h hook.Hook) []hook.Turn {
	p.Helper()
	turns, err := p.store.Claim(p.Context(), h.ID, 10, false)
	p.must(err)
	return turns
}

func (p *presences) one(h hook.Hook) hook.Turn {
	p.Helper()
	turns := p.claim(h)
	if len(turns) != 1 {
		p.Fatalf("%d groups are due, want 1: %+v", len(turns), turns)
	}
	return turns[0]
}

func (p *presences) read(t hook.Turn) (page hook.Page, text string) {
	p.Helper()
	page, err := p.store.Read(p.Context(), t)
	p.must(err)
	return page, changesOf(page.Presence)
}

// changesOf returns changes as text, and checks that n increases.
func changesOf(changes []hook.PresenceChange) string {
	var text []string
	n := int64(0)
	for _, c := range changes {
		if c.N <= n {
			return fmt.Sprintf("n is not growing: %+v", changes)
		}
		n = c.N
		text = append(text, c.UserID+" "+strings.TrimPrefix(string(c.Type), "presence."))
	}
	return strings.Join(text, ", ")
}

func (p *presences) done(t hook.Turn, upto int64) *hook.Turn {
	p.Helper()
	next, err := p.store.Done(p.Context(), t, upto, 200, false, true)
	p.must(err)
	return next
}

// sent claims the only group that is due, and accepts all of its changes.
func (p *presences) sent(h hook.Hook) (text string) {
	p.Helper()
	t := p.one(h)
	page, text := p.read(t)
	if next := p.done(t, page.Upto); next != nil {
		p.Fatalf("there are more changes than %s", text)
	}
	return text
}

func (p *presences) want(what, got, want string) {
	p.Helper()
	if got != want {
		p.Errorf("%s: %q, want %q", what, got, want)
	}
}

// rows runs the periodic check. It then returns the number of positions, users and groups
// in the tables.
func (p *presences) rows() string {
	p.Helper()
	later()
	_, err := p.store.Check(p.Context(), 10, 0)
	p.must(err)
	var a, b, c int
	p.must(p.db.View(p.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM hook_presence_groups), (SELECT COUNT(*) FROM hook_presence), (SELECT COUNT(*) FROM hook_presence_heads)`).Scan(&a, &b, &c)
	}))
	return fmt.Sprint(a, " ", b, " ", c)
}
