package group

import (
	"context"
	"time"
)

// Repository keeps groups. Its implementation serves SQLite and PostgreSQL
// alike and passes the suite in grouptest.
//
// Every method reports an unknown or deleted group as fault.ErrNotFound and a
// database that does not answer as fault.ErrUnavailable.
type Repository interface {
	// Create stores a new group with its owner and the events group.created
	// (version 1) and nothing else, and returns it. admit, unless it is nil, is
	// asked about the owner's groups before that, as [Tx.Tally] counts them; its
	// error is returned as it is. It may be asked more than once. receipt, unless
	// it is nil, is kept as [Tx.Keep] does.
	Create(ctx context.Context, g Group, owner Member, admit func(Tally) error, receipt *Receipt) (Group, []Event, error)

	// Change runs fn in one transaction that holds the group's row, so that
	// the changes of one group happen one after the other. It returns the
	// events that fn appended once they are committed; an error from fn rolls
	// back and is returned as it is. fn may run more than once.
	Change(ctx context.Context, groupID string, fn func(tx Tx) error) ([]Event, error)

	// Group returns a group, and the caller's member record when they are one.
	Group(ctx context.Context, groupID, userID string) (Group, *Member, error)

	// Members lists members in order of user id, after the given one, with
	// the group's version at that moment.
	Members(ctx context.Context, groupID, after string, limit int) ([]Member, int64, error)

	// PublicGroups lists public groups by id, newest first, whose name contains
	// query, before the given id (empty: from the newest).
	PublicGroups(ctx context.Context, query, before string, limit int) ([]Group, error)

	// UserGroups lists the groups that a user is a member of, by group id,
	// newest first, before the given id.
	UserGroups(ctx context.Context, userID, before string, limit int) ([]Membership, error)

	// MarkRead moves a member's read mark forward to a version that the group
	// has; one that is further on stays. It is no error when userID is no
	// member. The mark of a new member is where the group was before they came.
	MarkRead(ctx context.Context, groupID, userID string, version int64) error

	AdmissionLists
	Receipts
}

// Clock is what the [Scheduler] needs of the store.
type Clock interface {
	// Due returns groups whose timer is due and not postponed, the longest due
	// first.
	Due(ctx context.Context, limit int) ([]string, error)

	// Postpone keeps a timer that failed from being due for a while: a second
	// after its first failure, twice as long after each further one, at most
	// [MaxPostponed]. All nodes keep to that; failures of several nodes at once
	// count as one. [Tx.Schedule] ends it. It does nothing where no timer is due.
	Postpone(ctx context.Context, groupID string) error
}

// MaxPostponed is the longest wait between two attempts to fire a timer.
const MaxPostponed = 64 * time.Second

// Membership is one of a user's groups and their place in it.
type Membership struct {
	Group
	Role        Role  `json:"role"`
	ReadVersion int64 `json:"readVersion" doc:"of the last event that the user has read"`
	Unread      int64 `json:"unread" doc:"messages after that"`
	Online      *int  `json:"online" doc:"members who are online; null while that is not known"` // not the store's
}

// Tx is one transaction on one group. It is valid only inside the function
// that [Repository.Change] calls, and for one goroutine.
type Tx interface {
	// Group returns the locked record, with what this transaction did to it.
	Group() Group
	// Member returns a member, or nil when userID is none.
	Member(ctx context.Context, userID string) (*Member, error)
	// SetGroup replaces everything but id, owner, counts, versions and
	// creation, and raises the revision with the event appended next; there
	// must be one.
	SetGroup(ctx context.Context, g Group) error
	// AddMember inserts a member and counts them. One who is in already makes
	// the change fail, at the latest when fn has returned.
	AddMember(ctx context.Context, m Member) error
	// SetMember replaces a member's role and attributes. It is an error when
	// there is no such member, as for RemoveMember.
	SetMember(ctx context.Context, m Member) error
	// RemoveMember deletes a member and uncounts them.
	RemoveMember(ctx context.Context, userID string) error
	// SetOwner makes a member the owner and the owner before them an admin, sets
	// the time of the record's last change, and raises the revision as SetGroup
	// does. It is an error when userID is no member, or owns the group already.
	SetOwner(ctx context.Context, userID string, at time.Time) error
	// Due returns the instant at which the group's timer is due, when it
	// has come by the database's clock; Schedule sets the next one, nil for
	// none. Create schedules what [Group.NextTimer] says.
	Due() (at time.Time, due bool)
	Schedule(ctx context.Context, next *time.Time) error
	// Tally counts the groups of users, as they were before this change; who is
	// in none may be missing. Until the transaction is over, everyone else who
	// wants to count one of these users waits. It is called at most once in a
	// change, so that nobody waits in a circle.
	Tally(ctx context.Context, userIDs ...string) (map[string]Tally, error)
	// Delete marks the group deleted: from then on it is not found, while its
	// log stays readable to the feed.
	Delete(ctx context.Context) error
	// Append writes the next event: its version, the log and the outbox. data
	// is encoded as JSON; a json.RawMessage is taken as it is.
	Append(ctx context.Context, typ EventType, actor string, data any) (Event, error)
	// MarkRead moves the read mark of a member, of one in a change, to the
	// event appended last. It does nothing for who is no member.
	MarkRead(userID string)
	// Keep stores a receipt, or returns ErrReceipted when there is one for the
	// user's key that is not older than [ReceiptAge].
	Keep(ctx context.Context, r Receipt) error

	Admissions
}

// Log is what the feed reads of the store: the truth behind the doorbell.
type Log interface {
	// Read returns, of one moment, the group, deleted or not, its events after
	// since, at most limit, and those of users who are members. It answers
	// fault.ErrNotFound only for a group that the database has never seen or
	// that it has forgotten.
	Read(ctx context.Context, groupID string, since int64, limit int, users []string) (LogPage, error)

	// Memberships is Read without the group and the log: those of users who are
	// members, and by what a caller knows whether a page that they have read before
	// still holds.
	Memberships(ctx context.Context, groupID string, users []string) (Memberships, error)

	// Heads returns the groups whose version moved within the last window, by
	// the database's clock.
	Heads(ctx context.Context, window time.Duration) ([]Head, error)

	// Relay calls publish for committed events older than age that are not
	// marked published, at most limit, leaving out those that another node's
	// relay holds, and marks those that publish accepted. It returns how many
	// it tried: fewer than limit when it has come to the end. Each call goes on
	// where the last one ended, and after the end from the beginning, so that
	// events that cannot be published keep no others waiting.
	Relay(ctx context.Context, age time.Duration, limit int, publish func(Event) error) (int, error)

	// Published marks events as published.
	Published(ctx context.Context, refs []Ref) error
}

// LogPage is a part of a group's log and the group at that moment.
type LogPage struct {
	Group   Group
	MovedAt time.Time // when its version moved last, by the database's clock
	Deleted bool
	First   int64 // the oldest version that the log still holds; 0 when it is empty
	Events  []Event
	Members map[string]Member // by user id
}

// Memberships is what some users are in a group, deleted or not, at one moment.
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
