package group

import (
	"context"
	"log/slog"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// trimEvery is how often a node looks for what is no longer to be kept,
	// trimBatch how many groups it looks at in one call, and expireBatch how
	// much of what has expired it removes in one.
	trimEvery   = 10 * time.Minute
	trimBatch   = 200
	expireBatch = 2000
)

// OverAge is for how long invites that have expired or are used up, and bans
// that have expired, are kept: nodes whose clocks differ agree on them, and who
// repeats an accepted invite is answered as before.
const OverAge = 24 * time.Hour

// Retention says how much of a group's log is kept. An event is removed when
// more than Count newer ones are there and it is older than Age.
type Retention struct {
	Count int
	Age   time.Duration
}

// Trimmer removes what is no longer to be kept. sqlstore.Store fulfils it.
type Trimmer interface {
	// Trim looks at the groups after the given id, in order of id, at most
	// limit: it removes events beyond r, and whole groups that were deleted
	// longer ago than r.Age, but at least a day. It returns the id to go on
	// after, empty when it has come to the end or cannot go on. A group that
	// fails keeps no other from being looked at: then there may be both, an id
	// and an error.
	Trim(ctx context.Context, r Retention, after string, limit int) (next string, err error)

	// Expire removes receipts older than [ReceiptAge], and invites and bans that
	// have been over for longer than [OverAge], by the database's clock. It
	// removes at most limit of them all, and says how many.
	Expire(ctx context.Context, limit int) (removed int, err error)
}

// Janitor removes old events, and receipts, invites and bans that are over, and
// forgets deleted groups. Every node has one; that several work at once does no
// harm.
type Janitor struct {
	retention Retention
	store     Trimmer
	log       *slog.Logger
	tasks     *tasks.Group
}

// NewJanitor returns a janitor who keeps what cfg says.
func NewJanitor(cfg Config, store Trimmer, log *slog.Logger) *Janitor {
	cfg = cfg.WithDefaults()
	return &Janitor{
		retention: Retention{Count: cfg.RetentionCount, Age: cfg.RetentionAge},
		store:     store,
		log:       log,
		tasks:     tasks.New(),
	}
}

// Start begins to look, every ten minutes.
func (j *Janitor) Start(context.Context) error {
	j.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, trimEvery, nil, func() { j.sweep(ctx) })
	})
	return nil
}

// Stop ends it.
func (j *Janitor) Stop(ctx context.Context) error { return j.tasks.Stop(ctx) }

// sweep goes through all that has expired, and all groups.
func (j *Janitor) sweep(ctx context.Context) {
	for {
		removed, err := j.store.Expire(ctx, expireBatch)
		if err != nil {
			j.log.Debug("group: what has expired is kept for now", "err", err)
		}
		if removed < expireBatch {
			break
		}
	}
	after := ""
	for {
		next, err := j.store.Trim(ctx, j.retention, after, trimBatch)
		if err != nil {
			j.log.Debug("group: old events are kept for now", "err", err)
		}
		if next == "" {
			return
		}
		after = next
	}
}
