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

// The bounds of a batch. The last line may exceed the bytes.
const (
	batchLines = 1000
	batchBytes = 1 << 20
)

// maxShown is how many mistakes a check remembers.
const maxShown = 20

// Config is what an import needs to know.
type Config struct {
	Groups group.Config // with its defaults
	File   string       // the file's name, for the audit log
	By     string       // who imports, for the audit log
	Dry    bool         // write nothing
	// Progress is called from time to time with the number of lines that are done in a
	// step. nil: not.
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
	most   int // lines of a batch
}

// state is what an import remembers of a group.
type state struct {
	owner    uint64 // hash of the owner's id
	last     Place  // of the last message in the file so far
	messages int32
	named    bool // by a line of the file
	there    bool // in the database
	isNew    bool // known not to be there: a dry run asks
}

// Report says what a check found.
type Report struct {
	Lines    int
	Counts   Counts    // lines by kind
	Mistakes []Mistake // the first ones
	Wrong    int       // all mistakes
	Long     int       // groups with more messages than a log keeps in any case
}

// maxClashes is how many clashes an import remembers.
const maxClashes = 1000

// Clashes are the invites that an import left out because their code is that of an invite to
// another group.
type Clashes struct {
	Lines []int // the first ones
	All   int
}

// ErrChanged means that the file is not as it was when it was checked.
var ErrChanged = errors.New("the file changed while it was read: run the import again")

// New returns an importer of a file.
func New(cfg Config, store Store, file io.ReadSeeker) *Importer {
	return &Importer{
		cfg: cfg, store: store, file: file,
		now: time.Now().UTC().Truncate(time.Microsecond), seed: maphash.MakeSeed(), groups: make(map[uuid.UUID]state), most: batchLines,
	}
}

// Clashes returns what [Importer.Write] has left out.
func (i *Importer) Clashes() Clashes { return i.clash }

// each passes the lines of the file that may be of the kinds, or all of them without kinds.
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

// ownerOf returns what is remembered of an owner.
func (i *Importer) ownerOf(userID string) uint64 { return maphash.String(i.seed, userID) }

// idOf returns a group's id as it is remembered.
func idOf(groupID string) uuid.UUID {
	id, _ := uuid.Parse(groupID) // GroupID makes it
	return id
}

// IDs passes the ids of the groups of the file, and their ids in Moim, to put. It leaves
// out groups whose id stays.
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

// Import implements [Store]. There are no groups to which it could add.
func (Empty) Import(context.Context, Batch, bool) (Written, error) { return Written{}, nil }
