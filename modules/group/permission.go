package group

import (
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// action is something that a caller wants to do with a group.
type action int

// The actions. [permissions] says which callers may take them.
const (
	actView             action = iota // read the Group
	actJoin                           // become a member, if the join policy agrees
	actRead                           // members, events, presence; subscribe
	actPost                           // messages
	actEditMessage                    // change one's own messages; admins: those of all members
	actDeleteMessage                  // delete one's own messages; admins: those of all members
	actSignal                         // signals
	actLeave                          // stop being a member
	actIntroduce                      // change one's own name and profile
	actUpdate                         // change the Group
	actAddMembers                     // add members, or invite them
	actAnswerInvitation               // accept or decline an invitation
	actChangeMember                   // change a lower member's attributes
	actRemoveMember                   // remove a lower member
	actChangeRole                     // make a member an admin and back
	actRequests                       // list, approve and reject join requests
	actWithdraw                       // withdraw one's own join request
	actInvite                         // make, list and revoke invites
	actBan                            // ban lower members and outsiders, lift and list bans
	actMute                           // mute lower members, and unmute them
	actTransfer                       // transfer the group
	actAnswerOffer                    // accept or decline an offer of ownership
	actDelete                         // delete the group
)

// rank orders callers by their rights.
type rank int

const (
	outsiderRank rank = iota
	memberRank
	adminRank
	ownerRank
)

// permission describes who may take an action.
type permission struct {
	least rank       // the lowest rank. Outsiders have it only in public groups; a back end may do everything
	call  auth.Calls // the scope that a token needs

	recorded string // the action in a back end's audit entry; empty if it changes no group
}

// permissions is the permission table.
var permissions = map[action]permission{
	actView:             {outsiderRank, auth.ReadGroups, ""},
	actJoin:             {outsiderRank, auth.WriteGroups, "join"},
	actRead:             {memberRank, auth.ReadGroups, ""},
	actPost:             {memberRank, auth.WriteMessages, "post"},
	actEditMessage:      {memberRank, auth.WriteMessages, "edit-message"},   // and see [allowMessage]
	actDeleteMessage:    {memberRank, auth.WriteMessages, "delete-message"}, // and see [allowMessage]
	actSignal:           {memberRank, auth.SendSignals, ""},
	actLeave:            {memberRank, auth.WriteGroups, "leave"},
	actIntroduce:        {memberRank, auth.WriteGroups, "introduce"},
	actUpdate:           {adminRank, auth.WriteGroups, "update"},
	actAddMembers:       {adminRank, auth.WriteMembers, "add-members"},
	actAnswerInvitation: {memberRank, auth.WriteGroups, "answer-invitation"}, // also users who are invited: [Service.permit]
	actChangeMember:     {adminRank, auth.WriteMembers, "change-member"},
	actRemoveMember:     {adminRank, auth.WriteMembers, "remove-member"},
	actChangeRole:       {ownerRank, auth.WriteMembers, ""},
	actRequests:         {adminRank, auth.WriteMembers, "answer-request"},
	actWithdraw:         {outsiderRank, auth.WriteGroups, "withdraw-request"}, // also users who requested to join: [Service.permit]
	actInvite:           {adminRank, auth.WriteMembers, "invite"},
	actBan:              {adminRank, auth.WriteMembers, "ban"},
	actMute:             {adminRank, auth.WriteMembers, "mute"},
	actTransfer:         {ownerRank, auth.WriteGroups, "transfer"},
	actAnswerOffer:      {memberRank, auth.WriteGroups, "answer-offer"},
	actDelete:           {ownerRank, auth.WriteGroups, "delete"},
}

func rankOf(m *Member) rank {
	if m == nil {
		return outsiderRank
	}
	switch m.Role {
	case Owner:
		return ownerRank
	case Admin:
		return adminRank
	default:
		return memberRank
	}
}

// allow decides whether the caller may take action a. m is the caller's membership in g, or
// nil. It returns fault.ErrNotFound to outsiders of a private group, and ErrNotMember to
// other outsiders. It returns fault.ErrForbidden to members of a lower rank, and to callers
// whose token does not allow the call.
func allow(a action, caller auth.Identity, g Group, m *Member) error {
	switch {
	case caller.Admin:
		return caller.Check(permissions[a].call)
	case m == nil && g.Visibility != Public:
		return fault.ErrNotFound
	case rankOf(m) >= permissions[a].least:
		return caller.Check(permissions[a].call)
	case m == nil:
		return ErrNotMember
	default:
		return fault.ErrForbidden
	}
}

// allowOn decides whether the caller, whose membership is m, may act on target. An admin
// may act only on members of a lower rank.
func allowOn(caller auth.Identity, m *Member, target Member) error {
	if caller.Admin || rankOf(m) == ownerRank || rankOf(&target) < rankOf(m) {
		return nil
	}
	return fault.ErrForbidden
}

// allowMessage decides whether the caller, whose membership is m, may change a
// message of author.
func allowMessage(caller auth.Identity, m *Member, author *string) error {
	if caller.Admin || rankOf(m) >= adminRank || author != nil && *author == caller.UserID {
		return nil
	}
	return fault.ErrForbidden
}

// allowSpeech decides whether a caller whom [allow] permits action a may send something to
// others at now.
func allowSpeech(a action, caller auth.Identity, g Group, m *Member, now time.Time) error {
	if a != actPost && a != actEditMessage && a != actSignal || caller.Admin {
		return nil
	}
	switch {
	case m.mutedAt(now):
		return ErrMuted
	case g.Posting == PostingAdmins && rankOf(m) < adminRank:
		return errAdminsPost
	default:
		return nil
	}
}

var errAdminsPost = fault.ErrForbidden.WithMessage("only admins may post in this group")

// MaySignal returns the rule for which subscribers, admitted by [Admit], may send signals.
// Pass it to [feed.Feed.Subscribe].
func MaySignal(caller auth.Identity) func(Group, *Member) bool {
	return func(g Group, m *Member) bool { return allowSpeech(actSignal, caller, g, m, time.Now()) == nil }
}

// Admit returns the rule for who may subscribe to a group: its members and back ends. Pass
// it to [feed.Feed.Subscribe].
func Admit(caller auth.Identity) func(Group, *Member) error {
	return func(g Group, m *Member) error { return allow(actRead, caller, g, m) }
}
