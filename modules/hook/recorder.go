package hook

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group/presence"
)

const (
	// recordBatch is the maximum number of reports in one transaction.
	recordBatch = 500
	// recordRetry is the wait after a failed write.
	recordRetry = 500 * time.Millisecond
	// maxReports limits the reports that wait while the database cannot be written.
	maxReports = 100_000
)

// Recorder stores the presence that this node observes, for the hooks that chose it. While
// the database cannot be written, it keeps the last report of each user. It starts before
// the node accepts sockets, and stops after they have closed.
type Recorder struct {
	store PresenceStore
	max   int
	log   *slog.Logger
	tasks *tasks.Group
	wake  chan struct{}
	wrote chan struct{} // signals that changes are due

	mu      sync.Mutex
	wanted  wanted
	waiting map[place]Report
	lost    bool // reports were dropped, because there were too many
}

type place struct{ groupID, userID string }

// wanted says whether a hook chose presence.
type wanted int

const (
	notKnown wanted = iota // the hooks were not read yet, so reports are kept
	no
	yes
)

var _ presence.Observer = (*Recorder)(nil)

// NewRecorder returns a recorder.
func NewRecorder(store PresenceStore, log *slog.Logger) *Recorder {
	return &Recorder{
		store: store, max: maxReports, log: log, tasks: tasks.New(),
		wake: make(chan struct{}, 1), wrote: make(chan struct{}, 1), waiting: make(map[place]Report),
	}
}

// Start starts the goroutine that stores reports.
func (r *Recorder) Start(context.Context) error {
	r.tasks.Run(func(ctx context.Context) {
		tasks.Retry(ctx, recordRetry, r.wake, func() error {
			if !tasks.Pause(ctx, gather) {
				return nil
			}
			return r.write(ctx)
		})
	})
	return nil
}

// Stop stores the remaining reports and ends the goroutine.
func (r *Recorder) Stop(ctx context.Context) error {
	if err := r.tasks.Stop(ctx); err != nil {
		return err
	}
	return r.write(ctx)
}

// Saw implements [presence.Observer].
func (r *Recorder) Saw(s presence.Sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted == no {
		return
	}
	r.keepLocked(Report{GroupID: s.GroupID, UserID: s.UserID, Online: s.Online, At: s.At, Seen: s.At})
	if r.wanted == yes {
		tasks.Wake(r.wake)
	}
}

// unstored returns the number of waiting reports.
func (r *Recorder) unstored() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}

// keepLocked keeps a report unless there is a later one.
func (r *Recorder) keepLocked(report Report) {
	key := place{report.GroupID, report.UserID}
	before, known := r.waiting[key]
	switch {
	case known && report.Seen.Before(before.Seen):
	case !known && len(r.waiting) >= r.max:
		r.lost = true
	default:
		r.waiting[key] = report
	}
}

// want sets whether a hook chose presence.
func (r *Recorder) want(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted = no; is {
		r.wanted = yes
		tasks.Wake(r.wake)
		return
	}
	clear(r.waiting)
	r.lost = false
}

// write stores the waiting reports.
func (r *Recorder) write(ctx context.Context) error {
	for {
		batch := r.take()
		if len(batch) == 0 {
			return nil
		}
		changes, err := r.store.Record(ctx, batch)
		if err != nil {
			r.putBack(batch)
			r.log.DebugContext(ctx, "hook: cannot store presence; this is retried", "reports", len(batch), "err", err)
			return err
		}
		if changes > 0 {
			tasks.Wake(r.wrote)
		}
	}
}

func (r *Recorder) take() []Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted != yes {
		return nil
	}
	batch := make([]Report, 0, min(len(r.waiting), recordBatch))
	for key, report := range r.waiting {
		if len(batch) == recordBatch {
			break
		}
		batch = append(batch, report)
		delete(r.waiting, key)
	}
	return batch
}

// putBack keeps reports that could not be stored, unless there are later ones.
func (r *Recorder) putBack(batch []Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range batch {
		if later, known := r.waiting[place{report.GroupID, report.UserID}]; !known || later.Seen.Before(report.Seen) {
			r.keepLocked(report)
		}
	}
}

// takeLost reports whether reports were dropped since the last call.
func (r *Recorder) takeLost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := r.lost && len(r.waiting) == 0
	r.lost = r.lost && !lost
	return lost
}
