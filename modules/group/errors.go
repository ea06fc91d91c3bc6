package group

import "github.com/moim-live/moim/modules/fault"

// Errors for clients, in addition to those of package fault. For an outsider, a private
// group returns fault.ErrNotFound, as if it did not exist.
var (
	ErrNotMember           = fault.New(fault.Forbidden, "not_member", "you are not a member of this group")
	ErrBanned              = fault.New(fault.Forbidden, "banned", "you are banned from this group")
	ErrMuted               = fault.New(fault.Forbidden, "muted", "you are muted in this group")
	ErrInviteRequired      = fault.New(fault.Forbidden, "invite_required", "this group can be joined by invitation only")
	ErrInviteInvalid       = fault.New(fault.Gone, "invite_invalid", "this invite is unknown, revoked, expired or used up: ask for another one")
	ErrGroupFull           = fault.New(fault.Conflict, "group_full", "every seat of this group is taken")
	ErrOwnerMustTransfer   = fault.New(fault.Conflict, "owner_must_transfer", "the owner must hand the group over first")
	ErrLimitReached        = fault.New(fault.Conflict, "limit_reached", "a limit of this server is reached")
	ErrVersionConflict     = fault.New(fault.Precondition, "version_conflict", "the group changed since you read it: read it again")
	ErrGroupEnded          = fault.New(fault.Conflict, "group_ended", "this group has ended: it can be read, left and deleted, and its endsAt moved")
	ErrIdempotencyMismatch = fault.New(fault.Invalid, "idempotency_mismatch", "this idempotency key was used for another request: use a new one for each")

	ErrLogTruncated = fault.New(fault.Gone, "log_truncated", "the log does not reach back so far: read the group again")
)
