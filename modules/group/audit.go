package group

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
)

// Audited is the part of a [Repository] that has the audit log, and records what belongs
// to no other change there.
type Audited interface {
	// Record stores an audit entry.
	Record(ctx context.Context, e audit.Entry) error
	audit.Log
}

// AuditTx is the part of a [Tx] that records the change.
type AuditTx interface {
	// Audit stores an audit entry, in the transaction of the change.
	Audit(ctx context.Context, e audit.Entry) error
}

// The actions of audit entries that are not in the permission table.
const (
	auditCreate       = "create"
	auditAcceptInvite = "accept-invite"
	auditRenameUser   = "rename-user"
	auditDisconnect   = "disconnect-user"
	auditRevokeTokens = "revoke-tokens"
	auditEraseUser    = "erase-user"
)

// transact runs fn in a transaction on a group, as [Records.Change] does. All changes
// that callers ask for pass here. What a back end changes is recorded in the same
// transaction: a call that changes nothing, or fails, leaves no entry.
func (s *Service) transact(ctx context.Context, caller auth.Identity, does, groupID string, fn func(tx Tx) error) ([]Event, error) {
	if !caller.Admin {
		return s.repo.Change(ctx, groupID, caller.UserID, fn)
	}
	return s.repo.Change(ctx, groupID, caller.UserID, func(tx Tx) error {
		r := newRecorder(tx)
		if err := fn(r); err != nil || !r.changed {
			return err
		}
		entry, err := newEntry(ctx, caller, does)
		if err != nil {
			return err
		}
		entry.GroupID = groupID
		if entry.UserID, entry.Before, entry.After, err = r.records(); err != nil {
			return err
		}
		return tx.Audit(ctx, entry)
	})
}

// entries returns the audit entry of a back end about a user, outside of transact, and
// none for a user's own call. after is what there is since.
func entries(ctx context.Context, caller auth.Identity, does, groupID, userID string, after map[string]any) ([]audit.Entry, error) {
	if !caller.Admin {
		return nil, nil
	}
	e, err := newEntry(ctx, caller, does)
	if err != nil {
		return nil, err
	}
	e.GroupID, e.UserID = groupID, userID
	if after != nil {
		e.After, err = json.Marshal(after)
	}
	return []audit.Entry{e}, err
}

func newEntry(ctx context.Context, caller auth.Identity, does string) (audit.Entry, error) {
	e, err := audit.New(ctx, caller.UserID, does)
	e.RequestID = requestid.From(ctx)
	return e, err
}

// named is a user as an audit entry about their name has them.
type named struct {
	Name string `json:"name"`
}

// revokedTokens is what an audit entry says of revoked tokens.
type revokedTokens struct {
	IssuedBefore time.Time `json:"issuedBefore"`
}

// TokenRevoker refuses the tokens of a user that were issued before an instant, and
// closes the sockets that have one. It stores the entries in the same transaction, if
// that changes something. auth.Revocations fulfils it.
type TokenRevoker interface {
	Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error
}

// RevokeTokens revokes tokens of a user, for a back end. It needs no idempotency key: a
// repeat with the same instant changes nothing.
func (s *Service) RevokeTokens(ctx context.Context, caller auth.Identity, tokens TokenRevoker, userID string, req dto.RevokeRequest) error {
	if err := BackEndMay(caller, auth.WriteUsers); err != nil {
		return err
	}
	before, err := req.Instant(userID, s.now())
	if err != nil {
		return err
	}
	recorded, err := entries(ctx, caller, auditRevokeTokens, "", userID, map[string]any{"tokens": revokedTokens{before}})
	if err != nil {
		return err
	}
	return tokens.Revoke(ctx, userID, before, recorded...)
}

// DisconnectUser runs disconnect, which closes a user's sockets, for a back end, once for
// an idempotency key. It is recorded when it is done: there is no transaction.
func (s *Service) DisconnectUser(ctx context.Context, caller auth.Identity, userID string, disconnect func() error) error {
	if err := mayActFor(caller, userID, auth.WriteUsers); err != nil {
		return err
	}
	recorded, err := entries(ctx, caller, auditDisconnect, "", userID, nil)
	if err != nil {
		return err
	}
	return s.repeatable(ctx, caller, asked{what: "disconnect " + userID}, disconnect, recorded...)
}

// Audit lists at most limit entries of the audit log, newest first, for a back end,
// before the given one (empty: from the newest). There are more when it returns limit,
// or [ListBytes].
func (s *Service) Audit(ctx context.Context, caller auth.Identity, f audit.Filter, before string, limit int) ([]audit.Entry, error) {
	if err := BackEndMay(caller, auth.ReadAudit); err != nil {
		return nil, err
	}
	for field, id := range map[string]string{"actor": f.Actor, "target": f.Target} {
		if id != "" && !dto.ValidUserID(id) {
			return nil, fault.Validation(fault.Field{Field: field, Message: "is not an id"})
		}
	}
	return s.repo.Entries(ctx, f, before, limit)
}
