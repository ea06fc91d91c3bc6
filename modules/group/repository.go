package group

import (
	"context"
	"time"
)

// Repository keeps groups. sqlstore.Store implements it for SQLite and PostgreSQL.
// Implementations must pass the suite in grouptest.
//
// Every method returns fault.ErrNotFound for an unknown or deleted group and
// fault.ErrUnavailable if the database does not answer. It is safe for concurrent use. A
// list may end early: see [ListBytes].
type Repository interface {
	Records
	MemberList
	ReadMarks
	BanList
	MuteList
	MessageList
	ApplicantList
	InviteList
	InvitationList
	Receipts
	Renames
	Erasures
	Finder
	Audited
}

// Tx is one transaction on one group. It is valid only inside the function that
// [Records.Change] calls, and is not safe for concurrent use.
type Tx interface {
	RecordTx
	MemberTx
	OfferTx
	TallyTx
	OutsiderTx
	BanTx
	MuteTx
	ApplicantTx
	InviteTx
	InvitationTx
	TimerTx
	ReceiptTx
	EventTx
	RenameTx
	AuditTx
	ErasureTx
}

// Log is the part of the store that the feed uses.
type Log interface {
	// Read returns, as of one moment, the group (even if deleted), its events after since,
	// and those of users who are members. It returns at most limit events, and ends once
	// their data has [PageBytes]. It returns fault.ErrNotFound only for a group that never
	// existed or was removed.
	Read(ctx context.Context, groupID string, since int64, limit int, users []string) (LogPage, error)

	// Memberships returns which users are members, like Read, without the group and its
	// events. With Version and MovedAt, a caller can check whether an earlier page is still
	// current.
	Memberships(ctx context.Context, groupID string, users []string) (Memberships, error)

	// Heads returns the groups among the given ones whose version changed within the last
	// window, by the database's clock. It may also return others. If groupIDs is empty, it
	// returns all groups whose version changed.
	Heads(ctx context.Context, window time.Duration, groupIDs []string) ([]Head, error)

	// Relay calls publish for at most limit committed events that are older than age and
	// not marked as published. It marks those for which publish returns nil, and skips
	// events that another node's Relay holds. It returns the number of events it tried,
	// which is less than limit at the end of the outbox. Each call continues where the last
	// one ended, and after the end at the beginning. So events that cannot be published do
	// not delay others.
	Relay(ctx context.Context, age time.Duration, limit int, publish func(Event) error) (int, error)

	// Published marks events as published.
	Published(ctx context.Context, refs []Ref) error
}

// PageBytes is the size of event data at which a [LogPage] ends. The last event may exceed
// it.
const PageBytes = 256 << 10

// LogPage is a part of a group's log, and the group at the same moment.
type LogPage struct {
	Group   Group
	MovedAt time.Time // when its version last changed, by the database's clock
	Deleted bool
	First   int64 // oldest version in the log; 0 if the log is empty
	Events  []Event
	Members map[string]Member // by user id
}

// Memberships are the memberships of some users in a group, deleted or not, at one moment.
type Memberships struct {
	Version int64     // version of the group
	MovedAt time.Time // see LogPage
	Deleted bool
	Members map[string]Member // by user id
}

// Head is the last version of a group.
type Head struct {
	GroupID string
	Version int64
}

// Ref identifies one event.
type Ref struct {
	GroupID string
	Version int64
}
