package transfer

import (
	"context"
	"encoding/json"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
)

// Store is the database that an [Importer] writes to.
type Store interface {
	// Owners returns the owners of those of the groups that the database has, by group id.
	// Groups that were deleted lately are among them.
	Owners(ctx context.Context, groupIDs []string) (map[string]string, error)
	// Import writes what is missing of a batch in one transaction, and returns what
	// that was. It leaves out what belongs to no group of the batch or the database, and
	// what is about users whom their group knows already, or once knew. If dry is set, it
	// changes nothing.
	Import(ctx context.Context, b Batch, dry bool) (Written, error)
}

// Written is what a batch has changed.
type Written struct {
	Counts
	Clashes []NewInvite // left out, because their code is that of an invite to another group
}

// Batch is a part of an import.
type Batch struct {
	Groups   []NewGroup
	Messages []NewMessage
	Members  []NewMember
	Bans     []NewBan
	Invites  []NewInvite
	Entry    *audit.Entry // stored if the batch changes anything; nil: none
}

// NewGroup is a group with its owner.
type NewGroup struct {
	group.Group
	Owner  group.Member
	Source string // the group's id in the file
}

// NewMessage is a message of a group.
type NewMessage struct {
	GroupID string
	Actor   *string // nil: a user who was erased
	Data    json.RawMessage
	Place   Place
	Version int64 // in the log that the message is from; 0: unknown
}

// Place is a message's place among the messages of its group in the file. A message is
// written if the place is behind that of the last one that was written.
type Place struct {
	At int64 // in microseconds; 0: unknown
	N  int64 // counts those of the same time from 1
}

// Behind reports whether p is behind another place.
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
	Line     int // in the file
	group.Invite
}

// Counts counts lines, or what was written, by kind.
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
