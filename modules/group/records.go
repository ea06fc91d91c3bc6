package group

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/audit"
)

// Records is the part of a [Repository] that keeps groups themselves.
type Records interface {
	// Create stores a new group with its owner and the event group.created
	// (version 1) of the actor, and returns it. It passes the owner's tally, as [TallyTx] counts
	// it, to admit before that, and returns admit's error as it is. A nil admit is
	// not called; then the group is nobody's creation, and counts only for its owner.
	// Create may call admit more than once. It keeps receipt, unless that is nil, as
	// [ReceiptTx] does, and stores the audit entries.
	Create(ctx context.Context, actor string, g Group, owner Member, admit func(Tally) error, receipt *Receipt, recorded ...audit.Entry) (Group, []Event, error)

	// Change runs fn in one transaction that locks the group's row, so that the
	// changes of a group happen one after the other. It returns the events that
	// fn appended once they are committed. An error from fn rolls back and is
	// returned as it is. fn may run more than once. userID is the user whose
	// membership fn asks for, which a store may read together with the group. It
	// may be empty.
	Change(ctx context.Context, groupID, userID string, fn func(tx Tx) error) ([]Event, error)

	// Group returns a group, and the user's member record, nil when they are no
	// member.
	Group(ctx context.Context, groupID, userID string) (Group, *Member, error)

	// PublicGroups lists public groups by id, newest first, whose name contains
	// query, before the given id (empty: from the newest).
	PublicGroups(ctx context.Context, query, before string, limit int) ([]Group, error)

	// UserGroups lists the groups that a user is a member of, by group id,
	// newest first, before the given id.
	UserGroups(ctx context.Context, userID, before string, limit int) ([]Membership, error)

	// CountUserGroups counts the groups that a user is a member of, and those of them
	// that they own. A large group that was deleted may count until the next
	// [upkeep.Trimmer.Trim].
	CountUserGroups(ctx context.Context, userID string) (joined, owned int, err error)
}

// RecordTx is the part of a [Tx] that changes the group's record and its log.
type RecordTx interface {
	// Group returns the locked record, with what this transaction did to it.
	Group() Group
	// SetGroup replaces everything but id, owner, counts, versions and
	// creation. The event appended next raises the revision; there must be one.
	SetGroup(ctx context.Context, g Group) error
	// SetOwner makes a member the owner and the previous owner an admin, sets the
	// time of the record's last change, and raises the revision as SetGroup does.
	// It ends an offer of the group. It fails when userID is no member, or owns the
	// group already. Without a userID, the group has no owner from then on; the previous
	// owner must be removed in the same transaction.
	SetOwner(ctx context.Context, userID string, at time.Time) error
	// Delete marks the group deleted. It is not found from then on. The feed can
	// still read its log.
	Delete(ctx context.Context) error
	// Append writes the next event: its version, the log and the outbox. It
	// encodes data as JSON, and takes a json.RawMessage as it is.
	Append(ctx context.Context, typ EventType, actor string, data any) (Event, error)
}
