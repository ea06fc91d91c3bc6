package authorize

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// TestFunctions checks the outcome of valid, invalid and failing functions. Functions with
// the option open admit users when they fail.
func TestFunctions(t *testing.T) {
	t.Parallel()
	const bad = "unavailable"
	for _, tc := range []struct {
		name, want string
		fn         Func
	}{
		{"yes", "yes", func(context.Context, Question) (Verdict, error) { return Verdict{Allow: true}, nil }},
		{"attributes", `yes {"other":2,"plan":"pro"}`, func(context.Context, Question) (Verdict, error) {
			return Verdict{Allow: true, Attributes: map[string]any{"plan": "pro", "mine": nil}}, nil
		}},
		{"no", "refused", func(context.Context, Question) (Verdict, error) { return Verdict{}, nil }},
		{"an error", bad, func(context.Context, Question) (Verdict, error) {
			return Verdict{Allow: true}, errors.New("the database is down")
		}},
		{"a panic", bad, func(context.Context, Question) (Verdict, error) { panic("a mistake") }},
		{"a negative ttl", bad, func(context.Context, Question) (Verdict, error) { return Verdict{Allow: true, TTL: -1}, nil }},
		{"attributes that are no JSON", bad, func(context.Context, Question) (Verdict, error) {
			return Verdict{Allow: true, Attributes: map[string]any{"f": func() {}}}, nil
		}},
		{"too late", bad, func(ctx context.Context, _ Question) (Verdict, error) {
			<-ctx.Done()
			return Verdict{}, ctx.Err()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for open, want := range map[bool]string{false: tc.want, true: map[bool]string{true: "yes", false: tc.want}[tc.want == bad]} {
				g, err := NewOf(Config{Events: known, Open: open}, tc.fn, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if got := outcome(t, g, group.Question{Event: group.AskCreate, UserID: "ana"}); got != want {
					t.Errorf("open %v: %s, want %s", open, got, want)
				}
			}
		})
	}
}

// TestFunctionsAreAskedAsBackEnds checks what a function is asked, and that users get its
// attributes and refusals like those of a back end.
func TestFunctionsAreAskedAsBackEnds(t *testing.T) {
	t.Parallel()
	asked := 0
	g, err := NewOf(Config{}, func(_ context.Context, q Question) (Verdict, error) {
		if asked++; q.Event != group.AskJoin || q.UserID != "ana" || q.GroupID != "g" || string(q.Data) != `{"by":"open"}` {
			t.Errorf("the function was asked %+v by %s", q, q.Data)
		}
		return Verdict{Code: "unpaid", Message: "Pay first", TTL: time.Minute}, nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if !g.Asks(group.AskJoin) || g.Asks(group.AskMessage) {
		t.Error("the gatekeeper does not ask about exactly the default events")
	}
	for range 2 {
		_, err := g.Ask(t.Context(), group.Question{Event: group.AskJoin, UserID: "ana", GroupID: "g", Data: group.Entering{By: "open"}})
		if f := fault.From(err); f.Code != "refused" || f.Reason != "unpaid" || f.Message != "Pay first" {
			t.Errorf("%+v", f)
		}
	}
	if asked != 1 {
		t.Errorf("the function was asked %d times within the ttl", asked)
	}
}

// TestOneIsAsked checks that a configuration with both a function and a URL is refused.
func TestOneIsAsked(t *testing.T) {
	t.Parallel()
	_, err := open(Config{URL: "https://example.org/may", Secret: webhook.NewSecret()}, func(context.Context, Question) (Verdict, error) { return Verdict{}, nil }, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Error("a function together with a URL is accepted")
	}
}
