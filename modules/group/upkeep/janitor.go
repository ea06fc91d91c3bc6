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
	trimBatch   = 200  // groups that one call of Trim looks at
	expireBatch = 2000 // rows that one call of Expire removes
	auditBatch  = 500  // entries that one call of ExpireAudit removes; they may be large
)

// Retention says how much of a group's log is kept. An event is removed when
// more than Count newer ones are there and it is older than Age. When the log has more
// than Bytes, its oldest events are removed whatever their number and age, except the
// last one. 0 is no bound. A group is removed when it was deleted longer ago than
// Deleted, or [group.MinDeletedKeep] if that is more.
type Retention struct {
	Count   int
	Age     time.Duration
	Bytes   int64
	Deleted time.Duration
}

// Trimmer removes what is no longer kept. sqlstore.Store fulfils it.
type Trimmer interface {
	// Trim looks at the groups that are due, at most limit: those that had events
	// since they were looked at, and those with something to be removed. It removes
	// events beyond r, and whole groups that were deleted long enough ago. It works for half a minute at most, and reports whether it may have
	// more to do. A group that fails keeps no other from being looked at; it is
	// due again later. When r has changed, all groups become due. Only one store
	// of a database trims at a time: the others do nothing, and report false.
	Trim(ctx context.Context, r Retention, limit int) (more bool, err error)

	// Expire removes receipts older than [group.ReceiptAge], and invites and bans
	// that have been over for longer than [group.OverAge], by the database's
	// clock. It returns how many it removed, at most limit.
	Expire(ctx context.Context, limit int) (removed int, err error)

	// ExpireAudit removes audit entries older than keep. It returns how many it
	// removed, at most limit.
	ExpireAudit(ctx context.Context, keep time.Duration, limit int) (removed int, err error)
}

// Janitor removes old events, deleted groups, receipts, invites and bans that are
// over, and old audit entries.
type Janitor struct {
	retention Retention
	keepAudit time.Duration
	store     Trimmer
	log       *slog.Logger
	tasks     *tasks.Group
}

// NewJanitor returns a janitor that keeps what the configuration says.
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

// Start begins to sweep, every minute.
func (j *Janitor) Start(context.Context) error {
	j.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, sweepEvery, nil, func() { j.sweep(ctx) })
	})
	return nil
}

// Stop ends it.
func (j *Janitor) Stop(ctx context.Context) error { return j.tasks.Stop(ctx) }

// sweep removes everything that is no longer kept.
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

// expire removes in steps, until a step removes less than a batch.
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
