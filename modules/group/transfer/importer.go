package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/group"
)

// Limits of a batch. The last line may exceed the bytes.
const (
	batchLines = 1000
	batchBytes = 1 << 20
)

// maxShown is the maximum number of mistakes in a report.
const maxShown = 20

// Config holds the settings of an import.
type Config struct {
	Groups group.Config // with its defaults applied
	File   string       // name of the file, for the audit log
	By     string       // user or program that imports, for the audit log
	Dry    bool         // write nothing
	// Progress, if not nil, is called from time to time with the number of finished lines
	// in a step.
	Progress func(step string, lines int)
}

// Importer imports one file. It is not safe for concurrent use.
type Importer struct {
	cfg    Config
	store  Store
	file   io.ReadSeeker
	now    time.Time
	seed   maphash.Seed
	groups map[uuid.UUID]state
	report Report
	hash   string
	clash  Clashes
	most   int // maximum number of lines in a batch
}

// state is what an import keeps in memory about a group.
type state struct {
	owner    uint64 // hash of the owner's id
	last     Place  // place of the last message in the file so far
	messages int32
	named    bool // the file defines it
	there    bool // it is in the database
	isNew    bool // it is known not to be in the database; for a dry run
}

// Report is the result of a check.
type Report struct {
	Lines    int
	Counts   Counts    // lines by kind
	Mistakes []Mistake // the first ones
	Wrong    int       // number of all mistakes
	Long     int       // groups with more messages than a log always keeps
}

// maxClashes is the maximum number of clashes in a result.
const maxClashes = 1000

// Clashes are the invites that an import left out because another group has an invite with
// the same code.
type Clashes struct {
	Lines []int // lines of the first ones
	All   int
}

// ErrChanged means that the file has changed since it was checked.
var ErrChanged = errors.New("the file changed while it was read: run the import again")

// New returns an importer of a file.
func New(cfg Config, store Store, file io.ReadSeeker) *Importer {
	return &Importer{
		cfg: cfg, store: store, file: file,
		now: time.Now().UTC().Truncate(time.Microsecond), seed: maphash.MakeSeed(), groups: make(map[uuid.UUID]state), most: batchLines,
	}
}

// Clashes returns the invites that [Importer.Write] left out.
func (i *Importer) Clashes() Clashes { return i.clash }

// each passes the lines of the given kinds to fn, or all lines if there are no kinds. It
// may also pass lines of other kinds.
func (i *Importer) each(ctx context.Context, step string, fn func(*line) error, kinds ...string) error {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("the file must be one that can be read again, and no pipe: %w", err)
	}
	sum := sha256.New()
	in := newLines(io.TeeReader(i.file, sum))
	for {
		text, long, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if i.cfg.Progress != nil && in.number%batchLines == 0 {
			i.cfg.Progress(step, in.number)
		}
		if len(kinds) > 0 && !mayBe(text, kinds...) {
			continue
		}
		l := &line{number: in.number}
		if long {
			l.wrong("", "has more than %d bytes", maxLine)
		} else {
			l = i.cfg.parse(in.number, text, i.now)
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	if i.hash != "" && i.hash != hash {
		return ErrChanged
	}
	i.hash = hash
	return nil
}

// ownerOf returns the hash that is kept of an owner's id.
func (i *Importer) ownerOf(userID string) uint64 { return maphash.String(i.seed, userID) }

// idOf returns a group's id in the form that is kept.
func idOf(groupID string) uuid.UUID {
	id, _ := uuid.Parse(groupID) // never fails: GroupID made it
	return id
}

// IDs passes the ids of the file's groups and their ids in Moim to put. It leaves out ids
// that stay unchanged.
func (i *Importer) IDs(ctx context.Context, put func(source, groupID string) error) error {
	return i.each(ctx, "ids", func(l *line) error {
		if l.group == nil || l.group.ID == "" || l.groupID() == l.source {
			return nil
		}
		return put(l.source, l.groupID())
	}, aGroup)
}

// Empty is a database without groups, for a dry run.
type Empty struct{}

var _ Store = Empty{}

// Owners implements [Store].
func (Empty) Owners(context.Context, []string) (map[string]string, error) { return nil, nil }

// Import implements [Store]. It writes nothing, because there are no groups.
func (Empty) Import(context.Context, Batch, bool) (Written, error) { return Written{}, nil }

// Analyze implements [Store].
func (Empty) Analyze(context.Context) error { return nil }
