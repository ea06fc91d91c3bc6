package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

// pages is a store in which trimming the first page fails.
type pages struct{ asked int }

func (p *pages) Trim(context.Context, Retention, int) (bool, error) {
	switch p.asked++; p.asked {
	case 1:
		return true, errors.New("a group that fails")
	case 2:
		return true, nil
	}
	return false, errors.New("the database is down")
}

func (*pages) Expire(context.Context, int) (int, error) { return 0, errors.New("the database is down") }

func TestSweepLooksAtAllPages(t *testing.T) {
	t.Parallel()
	p := &pages{}
	NewJanitor(group.Config{}, p, slog.New(slog.DiscardHandler)).sweep(t.Context())
	if p.asked != 3 {
		t.Errorf("the sweep looked at %d pages, want 3", p.asked)
	}
}
