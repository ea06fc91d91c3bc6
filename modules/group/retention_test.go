package group

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

// pages is a store in which trimming the first page fails.
type pages struct{ asked []string }

func (p *pages) Trim(_ context.Context, _ Retention, after string, _ int) (string, error) {
	p.asked = append(p.asked, after)
	switch after {
	case "":
		return "a", errors.New("a group that fails")
	case "a":
		return "b", nil
	}
	return "", errors.New("the database is down")
}

func (*pages) Expire(context.Context, int) (int, error) { return 0, errors.New("the database is down") }

func TestSweepLooksAtAllPages(t *testing.T) {
	t.Parallel()
	p := &pages{}
	NewJanitor(Config{}, p, slog.New(slog.DiscardHandler)).sweep(t.Context())
	if want := []string{"", "a", "b"}; !slices.Equal(p.asked, want) {
		t.Errorf("the sweep looked at the pages after %q, want %q", p.asked, want)
	}
}
