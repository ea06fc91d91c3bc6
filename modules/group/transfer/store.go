package transfer

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
)

// Store is the database that an [Importer] writes to.
type Store interface {
	// Owners returns the owners of the groups that are in the database, by group id. It
	// includes groups that were deleted lately.
	Owners(ctx context.Context, groupIDs []string) (map[string]string, error)
	// Import writes what is missing from a batch in one transaction, and returns what it
	// wrote. It leaves out items of groups that are neither in the batch nor in the
	// database, and items about users that their group already knows or once knew. If dry
	// is set, it changes nothing.
	Import(ctx context.Context, b Batch, dry bool) (Written, error)
	// Analyze makes the database plan its next statements for what was written.
	Analyze(ctx context.Context) error
}

// Written is the result of a batch.
type Written struct {
	Counts
	Clashes []NewInvite // left out, because another group has an invite with the same code
}

// Batch is a part of an import.
type Batch struct {
	Groups   []NewGroup
	Messages []NewMessage
	Members  []NewMember
	Bans     []NewBan
	Invites  []NewInvite
	Entry    *audit.Entry // stored if the batch changes anything; may be nil
}

// NewGroup is a group with its owner.
type NewGroup struct {
	group.Group
	Owner  group.Member
	Source string // id of the group in the file
}

// NewMessage is a message of a group.
type NewMessage struct {
	GroupID string
	Actor   *string // nil for a user who was erased
	Data    json.RawMessage
	Place   Place
	Version int64 // version in the log of origin; 0 if unknown
}

// Place is the position of a message among those of its group in the file. A message is
// written if its place is behind that of the last written one.
type Place struct {
	At int64 // in microseconds; 0 if unknown
	N  int64 // number among messages of the same time, from 1
}

// Behind reports whether p comes after other.
func (p Place) Behind(other Place) bool {
	return p.At > other.At || p.At == other.At && p.N > other.N
}

// NewMember is a member of a group.
type NewMember struct {
	GroupID string
	group.Member
}

// NewBan is a ban in a group.
type NewBan struct {
	GroupID string
	group.Ban
}

// NewInvite is an invite to a group.
type NewInvite struct {
	GroupID  string
	CodeHash string
	Line     int // line in the file
	group.Invite
}

// Counts holds numbers of lines or of written items, by kind.
type Counts struct {
	Groups   int `json:"groups"`
	Members  int `json:"members"`
	Bans     int `json:"bans"`
	Invites  int `json:"invites"`
	Messages int `json:"messages"`
}

// All returns the sum of the counts.
func (c Counts) All() int { return c.Groups + c.Members + c.Bans + c.Invites + c.Messages }

func (c *Counts) add(other Counts) {
	c.Groups += other.Groups
	c.Members += other.Members
	c.Bans += other.Bans
	c.Invites += other.Invites
	c.Messages += other.Messages
}
