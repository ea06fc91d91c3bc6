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

// pages is a store that fails to trim the first page.
type pages struct {
	asked int
	keep  Retention
	audit []time.Duration // for each step, how long entries are kept
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

// ExpireAudit reports the first time that it removed as many as allowed, so that there may
// be more.
func (p *pages) ExpireAudit(_ context.Context, keep time.Duration, limit int) (int, error) {
	if p.audit = append(p.audit, keep); len(p.audit) == 1 {
		return limit, nil
	}
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

func TestSweepRemovesOldAuditEntries(t *testing.T) {
	t.Parallel()
	for set, want := range map[time.Duration]time.Duration{0: 90 * 24 * time.Hour, time.Hour: time.Hour} {
		p := &pages{}
		NewJanitor(group.Config{}, audit.Config{Keep: set}, p, slog.New(slog.DiscardHandler)).sweep(t.Context())
		if len(p.audit) != 2 || p.audit[0] != want || p.audit[1] != want {
			t.Errorf("audit.keep %s: steps that keep %s, want two that keep %s", set, p.audit, want)
		}
	}
}
