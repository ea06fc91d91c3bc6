package group

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Membership is one of a user's groups, with their role in it.
type Membership struct {
	Group
	Role        Role  `json:"role" enum:"owner,admin,member"`
	ReadVersion int64 `json:"readVersion" doc:"version of the last event that the user has read"`
	Unread      int64 `json:"unread" doc:"number of messages after readVersion"`
	Online      *int  `json:"online" doc:"number of members online; null while presence is unavailable"` // not the store's
}

// Announcer delivers committed events to subscribers. [feed.Feed] implements it.
type Announcer interface {
	// Announce is called once for each change, after the commit. It does not wait for other
	// nodes and never fails: nodes that miss the events read them from the log.
	Announce(ctx context.Context, events []Event)
}

// Signaler sends to the sockets in a room on all nodes. adapter.Owner implements it.
type Signaler interface {
	// Cast does not wait for the other nodes.
	Cast(ctx context.Context, env adapter.Envelope)
}

// Senders knows, without asking the database, which users may send to a group that has
// subscribers on this node. [feed.Feed] implements it.
type Senders interface {
	// MaySend reports whether the caller may. If it returns false, ask the database.
	MaySend(caller auth.Identity, groupID string) bool
	// Found records that a read of the group at version found that the caller may.
	Found(caller auth.Identity, groupID string, version int64)
}

// PresenceKeeper knows who is online. [presence.Tracker] implements it.
type PresenceKeeper interface {
	// List returns the members who are online, reconnecting, or went offline lately,
	// ordered by place. It returns fault.ErrUnavailable while this is not known.
	List(ctx context.Context, groupID string) ([]Present, error)
	// Count returns how many members each group has online, in the order of groupIDs, in
	// one round trip. Its errors are those of List.
	Count(ctx context.Context, groupIDs []string) ([]int, error)
	// SetState sets the live state of a user with a subscribed socket on this node, and
	// tells the group's subscribers. null clears it. It returns fault.ErrUnavailable if the
	// state cannot be stored.
	SetState(ctx context.Context, groupID, userID string, state json.RawMessage) error
}

// MarkTeller tells a group's subscribers how far members have read. [presence.Marks]
// implements it.
type MarkTeller interface {
	// Tell does not wait until they are told.
	Tell(groupID, userID string, version int64)
}

// Deps holds the dependencies of a [Service]. Senders, Audience, Presence, Marks, Limits,
// Gatekeeper and Now may be nil.
type Deps struct {
	Repository Repository
	Log        Log
	Announcer  Announcer
	Signaler   Signaler
	Senders    Senders
	Audience   Audience
	Presence   PresenceKeeper
	Marks      MarkTeller
	Limits     *limit.Limits
	Gatekeeper Gatekeeper
	Now        func() time.Time
}

// Service implements the rules of groups: who may do what, and which conditions a change
// must meet. HTTP controllers and socket handlers call it.
//
// Every method returns validation_failed for a request that exceeds a limit, and
// fault.ErrNotFound for a group that does not exist or that the caller may not see. It
// returns ErrNotMember or fault.ErrForbidden according to the permission table, and
// fault.ErrUnavailable while the database does not answer. Service is safe for concurrent
// use.
type Service struct {
	cfg       Config
	repo      Repository
	log       Log
	announcer Announcer
	signaler  Signaler
	senders   Senders
	audience  Audience
	presence  PresenceKeeper
	marks     MarkTeller
	limits    *limit.Limits
	now       func() time.Time

	gatekeeper Gatekeeper
}

// NewService returns a service. Zero values in cfg mean the defaults.
func NewService(cfg Config, deps Deps) *Service {
	s := &Service{
		cfg:       cfg.WithDefaults(),
		repo:      deps.Repository,
		log:       deps.Log,
		announcer: deps.Announcer,
		signaler:  deps.Signaler,
		senders:   deps.Senders,
		audience:  deps.Audience,
		presence:  deps.Presence,
		marks:     deps.Marks,
		limits:    deps.Limits,
		now:       deps.Now,

		gatekeeper: deps.Gatekeeper,
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Create creates a group that the caller owns. A back end may name another owner. It
// returns ErrLimitReached if the owner already owns, or is in, as many groups as allowed.
// Like all methods, it returns fault.ErrRateLimited if the caller exceeds a rate.
func (s *Service) Create(ctx context.Context, caller auth.Identity, req dto.CreateRequest) (Group, error) {
	req, err := req.Validate(s.cfg.LimitMembers, s.now())
	if err != nil {
		return Group{}, err
	}
	if err := caller.Check(auth.WriteGroups); err != nil {
		return Group{}, err
	}
	owner := newMember(caller.UserID, caller.Name, Owner, s.instant())
	if req.OwnerID != "" {
		if !caller.Admin {
			return Group{}, errOwnsForOthers
		}
		owner.UserID, owner.Name = req.OwnerID, req.OwnerName
	}
	if err := charge(caller, s.limits.Create); err != nil {
		return Group{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Group{}, fmt.Errorf("make a group id: %w", err)
	}
	now := owner.JoinedAt
	g := Group{
		ID:           id.String(),
		Name:         req.Name,
		Description:  req.Description,
		Visibility:   Visibility(req.Visibility),
		JoinPolicy:   JoinPolicy(req.JoinPolicy),
		Posting:      Posting(req.Posting),
		ReadReceipts: req.ReadReceipts,
		Capacity:     req.Capacity,
		Attributes:   req.Attributes,
		MemberCount:  1,
		OwnerID:      owner.UserID,
		Version:      1,
		Revision:     1,
		CreatedAt:    now,
		UpdatedAt:    now,

		EndsAt:       req.EndsAt,
		RemindBefore: req.RemindBefore,
	}
	kept := g
	kept.Description, kept.Attributes = "", nil // not in the receipt: a repeat of the request contains the same
	request := asked{what: "create", with: req, answer: &kept}
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return Group{}, err
	}
	recorded, err := entries(ctx, caller, auditCreate, g.ID, owner.UserID, map[string]any{kindGroup: g})
	if err != nil {
		return Group{}, err
	}
	var (
		created Group
		events  []Event
		about   = s.inquire(caller, AskCreate, "", req)
	)
	err = s.asking(ctx, about, receipt, func() error {
		given, changed, err := about.attributes().Apply(g.Attributes)
		if err != nil {
			return err
		}
		if changed { // a repeat of the request does not contain them
			g.Attributes, kept.Attributes = given, given
			if receipt, err = request.receipt(ctx, caller); err != nil {
				return err
			}
		}
		created, events, err = s.repo.Create(ctx, caller.UserID, g, owner, s.mayCreate(caller, about), receipt, recorded...)
		return err
	})
	if err != nil {
		if err := s.settle(ctx, receipt, request, err); err != nil {
			return Group{}, err
		}
		if kept.Description = g.Description; rawjson.IsNull(kept.Attributes) {
			kept.Attributes = g.Attributes
		}
		return kept, nil
	}
	s.announcer.Announce(ctx, events)
	return created, nil
}

// Get returns a group.
func (s *Service) Get(ctx context.Context, caller auth.Identity, groupID string) (Group, error) {
	g, _, err := s.look(ctx, actView, caller, groupID)
	return g, err
}

// Update applies a merge patch. If revision is not nil, it is the revision that the caller
// has read; Update returns ErrVersionConflict if the group has another one. A patch that
// changes nothing creates no event. Update returns ErrGroupFull if the capacity would be
// less than the number of members.
func (s *Service) Update(ctx context.Context, caller auth.Identity, groupID string, revision *int64, req dto.UpdateRequest) (Group, error) {
	req, err := req.Validate(s.cfg.LimitMembers, s.now())
	if err != nil {
		return Group{}, err
	}
	patch := req.Patch()
	var (
		g       Group  // before the change
		updated *Group // nil if nothing changes; the receipt then contains no group
	)
	request := asked{what: "update", with: []any{req, req.RemoveCapacity, req.RemoveEnd, revision}, answer: &updated}
	err = s.change(ctx, actUpdate, caller, groupID, request, func(tx Tx, _ *Member) error {
		g, updated = tx.Group(), nil
		if err := matches(g, revision); err != nil {
			return err
		}
		if g.EndedAt != nil && req.EndsAt == nil && !req.RemoveEnd {
			return ErrGroupEnded
		}
		patched, changes, err := update(g, req, patch)
		if err != nil || len(changes) == 0 {
			return err
		}
		patched.UpdatedAt = s.instant()
		if err := tx.SetGroup(ctx, patched); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, GroupUpdated, caller.UserID, changes); err != nil {
			return err
		}
		if rescheduled(changes) {
			if err := tx.Schedule(ctx, patched.NextTimer(s.now())); err != nil {
				return err
			}
		}
		changed := tx.Group()
		updated = &changed
		return nil
	})
	switch {
	case err != nil:
		return Group{}, err
	case updated != nil:
		return *updated, nil
	case g.ID != "":
		return g, nil
	default: // a repeat by a user who has lost the permission
		return s.Get(ctx, caller, groupID)
	}
}

// Delete deletes a group. For revision, see [Service.Update].
func (s *Service) Delete(ctx context.Context, caller auth.Identity, groupID string, revision *int64) error {
	return s.change(ctx, actDelete, caller, groupID, asked{what: "delete", with: revision}, func(tx Tx, _ *Member) error {
		if err := matches(tx.Group(), revision); err != nil {
			return err
		}
		if err := tx.Delete(ctx); err != nil {
			return err
		}
		_, err := tx.Append(ctx, GroupDeleted, caller.UserID, struct{}{})
		return err
	})
}

// change runs fn in a transaction on a group after it has checked that action a is allowed.
// Then it announces the events that fn appended. m is the caller's membership, or nil. A
// repeated request rolls fn back and returns its first answer, if it is still allowed. fn
// may run more than once. Other changes of the group wait for fn, so parse the client's
// data before calling change.
func (s *Service) change(ctx context.Context, a action, caller auth.Identity, groupID string, request asked, fn func(tx Tx, m *Member) error) error {
	if !dto.ValidGroupID(groupID) {
		return fault.ErrNotFound
	}
	if a != actPost && a != actEditMessage { // these charge their bytes themselves
		if err := s.chargeChange(caller); err != nil {
			return err
		}
	}
	request.what += " " + groupID
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return err
	}
	var (
		allowed bool
		events  []Event
	)
	carryOut := func(tx Tx) error {
		allowed = false
		if a == actJoin || a == actAnswerInvitation || a == actWithdraw {
			if err := precheck(ctx, tx, caller.UserID); err != nil {
				return err
			}
		}
		m, err := tx.Member(ctx, caller.UserID)
		if err != nil {
			return err
		}
		if err := s.permit(ctx, tx, a, caller, m); err != nil {
			return err
		}
		if err := goesOn(a, tx.Group()); err != nil {
			return err
		}
		allowed = true
		if err := fn(tx, m); err != nil {
			return err
		}
		return request.keep(ctx, tx, receipt)
	}
	err = s.asking(ctx, request.about, receipt, func() error {
		events, err = s.transact(ctx, caller, permissions[a].recorded, groupID, carryOut)
		return err
	})
	if err != nil && !allowed {
		err = Hide(err)
	}
	if err != nil && request.answer != nil && (!allowed || forbidden(err)) && !request.lowers(a, err) {
		return err
	}
	if err != nil {
		return s.settle(ctx, receipt, request, err)
	}
	if len(events) > 0 {
		s.announcer.Announce(ctx, events)
	}
	return nil
}

func matches(g Group, revision *int64) error {
	if revision != nil && *revision != g.Revision {
		return ErrVersionConflict
	}
	return nil
}

// instant returns the current time with the store's precision.
func (s *Service) instant() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
