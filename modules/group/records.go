package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/audit"
)

// Records is the part of a [Repository] that keeps groups themselves.
type Records interface {
	// Create stores a new group with its owner and the actor's event group.created (version
	// 1), and returns it. Before that, it passes the owner's tally (see [TallyTx]) to
	// admit, and returns admit's error unchanged. It may call admit more than once. If
	// admit is nil, it is not called, and the group counts for its owner only, not for a
	// creator. Create stores the receipt, if it is not nil, like [ReceiptTx], and the audit
	// entries.
	Create(ctx context.Context, actor string, g Group, owner Member, admit func(Tally) error, receipt *Receipt, recorded ...audit.Entry) (Group, []Event, error)

	// Change runs fn in one transaction that locks the group's row, so the changes of a
	// group happen one after the other. It returns the events that fn appended once they
	// are committed. It rolls back after an error from fn, and returns it unchanged. fn may
	// run more than once. userID is the user whose membership fn needs; a store may read it
	// together with the group. It may be empty.
	Change(ctx context.Context, groupID, userID string, fn func(tx Tx) error) ([]Event, error)

	// Group returns a group, and the user's membership, which is nil if they are not a
	// member.
	Group(ctx context.Context, groupID, userID string) (Group, *Member, error)

	// PublicGroups lists public groups by id, newest first, whose name contains
	// query, before the given id (empty: from the newest).
	PublicGroups(ctx context.Context, query, before string, limit int) ([]Group, error)

	// UserGroups lists the groups that a user is a member of, by group id,
	// newest first, before the given id.
	UserGroups(ctx context.Context, userID, before string, limit int) ([]Membership, error)

	// CountUserGroups counts the groups that a user is a member of, and those that they
	// own. A large deleted group may count until the next [upkeep.Trimmer.Trim].
	CountUserGroups(ctx context.Context, userID string) (joined, owned int, err error)
}

// RecordTx is the part of a [Tx] that changes the group's record and its log.
type RecordTx interface {
	// Group returns the locked record, including changes of this transaction.
	Group() Group
	// SetGroup replaces everything except id, owner, counts, versions and creation. The
	// next appended event raises the revision; there must be one.
	SetGroup(ctx context.Context, g Group) error
	// SetOwner makes a member the owner and the previous owner an admin. It sets the time
	// of the record's last change, raises the revision like SetGroup, and ends an offer of
	// the group. It fails if userID is not a member, or is the owner already. If userID is
	// empty, the group has no owner any more, and the previous owner must be removed in the
	// same transaction.
	SetOwner(ctx context.Context, userID string, at time.Time) error
	// Delete marks the group as deleted. It is not found any more, but the feed can still
	// read its log.
	Delete(ctx context.Context) error
	// Append writes the next event: its version, the log and the outbox. It encodes data as
	// JSON; a json.RawMessage is written unchanged.
	Append(ctx context.Context, typ EventType, actor string, data any) (Event, error)
}
