package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/limit"
)

// pages is a store in which trimming the first page fails.
type pages struct {
	asked int
	keep  Retention
}

func (p *pages) Trim(_ context.Context, r Retention, _ int) (bool, error) {
	p.keep = r
	switch p.asked++; p.asked {
	case 1:
		return true, errors.New("a group that fails")
	case 2:
		return true, nil
	}
	return false, errors.New("the database is down")
}

func (*pages) Expire(context.Context, int) (int, error) { return 0, errors.New("the database is down") }

func (*pages) ExpireAudit(context.Context, time.Duration, int) (int, error) {
	return 0, errors.New("the database is down")
}

func TestSweepLooksAtAllPages(t *testing.T) {
	t.Parallel()
	p := &pages{}
	NewJanitor(group.Config{}, audit.Config{}, p, slog.New(slog.DiscardHandler)).sweep(t.Context())
	if p.asked != 3 {
		t.Errorf("the sweep looked at %d pages, want 3", p.asked)
	}
}

func TestSweepKeepsWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	for set, want := range map[limit.Size]int64{0: 64 << 20, 1 << 30: 1 << 30, limit.NoSize: 0} {
		p := &pages{}
		NewJanitor(group.Config{RetentionBytes: set}, audit.Config{}, p, slog.New(slog.DiscardHandler)).sweep(t.Context())
		if p.keep.Bytes != want {
			t.Errorf("retention.bytes %d: a log is bounded to %d bytes, want %d", set, p.keep.Bytes, want)
		}
	}
}
