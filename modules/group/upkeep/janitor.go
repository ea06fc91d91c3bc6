package upkeep

import (
	"context"
	"log/slog"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
)

const (
	sweepEvery  = time.Minute
	trimBatch   = 200  // groups that one call of Trim examines
	expireBatch = 2000 // rows that one call of Expire removes
	auditBatch  = 500  // entries that one call of ExpireAudit removes; they may be large
)

// Retention says how much of a group's log is kept. An event is removed when it is older
// than Age and more than Count newer events exist. If the log has more than Bytes, its
// oldest events are removed in any case, except the last one. 0 means no limit. A deleted
// group is removed after Deleted, or after [group.MinDeletedKeep] if that is longer.
type Retention struct {
	Count   int
	Age     time.Duration
	Bytes   int64
	Deleted time.Duration
}

// Trimmer removes data that is not kept any longer. sqlstore.Store implements it.
type Trimmer interface {
	// Trim examines at most limit due groups: those that had events since the last time,
	// and those with something to remove. It removes events beyond r, and groups that were
	// deleted long enough ago. It works for at most half a minute, and reports whether
	// there may be more work. If a group fails, the others are still examined, and the
	// group is due again later. If r has changed, all groups become due. Only one store of
	// a database trims at a time; others do nothing and return false.
	Trim(ctx context.Context, r Retention, limit int) (more bool, err error)

	// Expire removes receipts older than [group.ReceiptAge], and invites and bans that have
	// been over for longer than [group.OverAge], by the database's clock. It removes at
	// most limit rows and returns their number.
	Expire(ctx context.Context, limit int) (removed int, err error)

	// ExpireAudit removes at most limit audit entries that are older than keep, and returns
	// their number.
	ExpireAudit(ctx context.Context, keep time.Duration, limit int) (removed int, err error)
}

// Janitor removes old events, deleted groups, receipts, expired invites and bans, and old
// audit entries.
type Janitor struct {
	retention Retention
	keepAudit time.Duration
	store     Trimmer
	log       *slog.Logger
	tasks     *tasks.Group
}

// NewJanitor returns a janitor that keeps data as configured.
func NewJanitor(cfg group.Config, log audit.Config, store Trimmer, logger *slog.Logger) *Janitor {
	cfg = cfg.WithDefaults()
	return &Janitor{
		retention: Retention{Count: cfg.RetentionCount, Age: cfg.RetentionAge, Bytes: cfg.RetentionBytes.Bound(), Deleted: cfg.DeletedKeep},
		store:     store,
		keepAudit: log.WithDefaults().Keep,
		log:       logger,
		tasks:     tasks.New(),
	}
}

// Start starts a sweep every minute.
func (j *Janitor) Start(context.Context) error {
	j.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, sweepEvery, nil, func() { j.sweep(ctx) })
	})
	return nil
}

// Stop stops it.
func (j *Janitor) Stop(ctx context.Context) error { return j.tasks.Stop(ctx) }

// sweep removes everything that is not kept any longer.
func (j *Janitor) sweep(ctx context.Context) {
	j.expire(ctx, "what has expired", expireBatch, func() (int, error) { return j.store.Expire(ctx, expireBatch) })
	j.expire(ctx, "old audit entries", auditBatch, func() (int, error) { return j.store.ExpireAudit(ctx, j.keepAudit, auditBatch) })
	for {
		more, err := j.store.Trim(ctx, j.retention, trimBatch)
		if err != nil {
			j.log.DebugContext(ctx, "group: cannot remove old events", "err", err)
		}
		if !more {
			return
		}
	}
}

// expire calls step until it removes fewer than batch rows.
func (j *Janitor) expire(ctx context.Context, what string, batch int, step func() (removed int, err error)) {
	for {
		removed, err := step()
		if err != nil {
			j.log.DebugContext(ctx, "group: cannot remove what is over", "what", what, "err", err)
		}
		if removed < batch {
			return
		}
	}
}
