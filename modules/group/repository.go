package group

import (
	"context"
	"time"
)

// Repository keeps groups. sqlstore.Store fulfils it for SQLite and PostgreSQL,
// and passes the suite in grouptest.
//
// Every method returns fault.ErrNotFound for an unknown or deleted group and
// fault.ErrUnavailable for a database that does not answer. It is safe for
// concurrent use. A list may end early, as [ListBytes] says.
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
	Exports
	Finder
	Audited
}

// Tx is one transaction on one group. It is valid only inside the function
// that [Records.Change] calls, and for one goroutine.
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

// Log is what the feed reads of the store.
type Log interface {
	// Read returns, as of one moment, the group, deleted or not, its events after
	// since, and the users who are members. There are at most limit events, and
	// no more follow once their data has [PageBytes]. It returns fault.ErrNotFound
	// only for a group that the database never had or has removed.
	Read(ctx context.Context, groupID string, since int64, limit int, users []string) (LogPage, error)

	// Memberships returns the users who are members, as Read does, without the
	// group and its events. Version and MovedAt tell a caller whether a page that
	// they read before is still current.
	Memberships(ctx context.Context, groupID string, users []string) (Memberships, error)

	// Heads returns the groups among the given ones whose version changed within
	// the last window, by the database's clock. It may return others, too. Without
	// groups it returns all whose version changed.
	Heads(ctx context.Context, window time.Duration, groupIDs []string) ([]Head, error)

	// Relay calls publish for at most limit committed events that are older than
	// age and not marked published, and marks those that publish accepts. It
	// skips events that another node's Relay holds. It returns how many it tried,
	// which is less than limit at the end of the outbox. Each call goes on where
	// the last one ended, and after the end from the beginning, so that events
	// that cannot be published do not delay others.
	Relay(ctx context.Context, age time.Duration, limit int, publish func(Event) error) (int, error)

	// Published marks events as published.
	Published(ctx context.Context, refs []Ref) error
}

// PageBytes is how many bytes of data the events of a [LogPage] have before the
// page ends. The last event may exceed it.
const PageBytes = 256 << 10

// LogPage is a part of a group's log and the group at that moment.
type LogPage struct {
	Group   Group
	MovedAt time.Time // when its version changed last, by the database's clock
	Deleted bool
	First   int64 // the oldest version that the log still holds; 0 when it is empty
	Events  []Event
	Members map[string]Member // by user id
}

// Memberships are the memberships of some users in a group, deleted or not, at
// one moment.
type Memberships struct {
	Version int64     // the group's
	MovedAt time.Time // as a LogPage's
	Deleted bool
	Members map[string]Member // by user id
}

// Head is the last version of a group.
type Head struct {
	GroupID string
	Version int64
}

// Ref names one event.
type Ref struct {
	GroupID string
	Version int64
}
