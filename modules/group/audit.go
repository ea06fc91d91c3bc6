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

// Audited is the part of a [Repository] with the audit log. It also records changes that
// belong to no other transaction.
type Audited interface {
	// Record stores an audit entry.
	Record(ctx context.Context, e audit.Entry) error
	audit.Log
}

// AuditTx is the part of a [Tx] that records the change in the audit log.
type AuditTx interface {
	// Audit stores an audit entry, in the transaction of the change.
	Audit(ctx context.Context, e audit.Entry) error
}

// Actions in audit entries that are not in the permission table.
const (
	auditCreate       = "create"
	auditAcceptInvite = "accept-invite"
	auditRenameUser   = "rename-user"
	auditDisconnect   = "disconnect-user"
	auditRevokeTokens = "revoke-tokens"
	auditEraseUser    = "erase-user"
)

// transact runs fn in a transaction on a group, like [Records.Change]. All changes that
// callers request go through it. A back end's change is recorded in the same transaction. A
// call that fails or changes nothing leaves no entry.
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

// entries returns the audit entry for a back end's call about a user that does not use
// transact. It returns none for a user's own call. after is the state after the change.
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

// named is a user in an audit entry about their name.
type named struct {
	Name string `json:"name"`
}

// revokedTokens is the record of revoked tokens in an audit entry.
type revokedTokens struct {
	IssuedBefore time.Time `json:"issuedBefore"`
}

// TokenRevoker refuses the tokens of a user that were issued before a time, and closes
// their sockets. If that changes something, it stores the entries in the same transaction.
// auth.Revocations implements it.
type TokenRevoker interface {
	Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error
}

// RevokeTokens revokes tokens of a user, for a back end. It needs no idempotency key,
// because a repeat with the same time changes nothing.
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

// DisconnectUser calls disconnect, which closes a user's sockets, for a back end, once for
// each idempotency key. It records the call afterwards, because there is no transaction.
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

// Audit lists at most limit entries of the audit log, newest first, for a back end. It
// begins after the entry before, or with the newest if before is empty. There are more if
// it returns limit entries, or [ListBytes].
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
