package group

import (
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// action is something that a caller wants to do with a group.
type action int

// The actions. [least] says who may take each.
const (
	actView             action = iota // read the Group
	actJoin                           // become a member, if the join policy agrees
	actRead                           // members, events, presence; subscribe
	actPost                           // messages
	actEditMessage                    // change the caller's own messages, as an admin everybody's
	actDeleteMessage                  // delete the caller's own messages, as an admin everybody's
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
	actMute                           // mute lower members, and lift that
	actTransfer                       // hand the group over
	actAnswerOffer                    // accept or decline a group that the owner offers
	actDelete                         // delete the group
)

// rank orders callers by what they may do.
type rank int

const (
	outsiderRank rank = iota
	memberRank
	adminRank
	ownerRank
)

// least is the permission table: the lowest rank that may take each action. An
// outsider has a rank in public groups only; a back end may do everything.
var least = map[action]rank{
	actView:             outsiderRank,
	actJoin:             outsiderRank,
	actRead:             memberRank,
	actPost:             memberRank,
	actEditMessage:      memberRank, // and see [allowMessage]
	actDeleteMessage:    memberRank, // and see [allowMessage]
	actSignal:           memberRank,
	actLeave:            memberRank,
	actIntroduce:        memberRank,
	actUpdate:           adminRank,
	actAddMembers:       adminRank,
	actAnswerInvitation: memberRank, // and whoever is invited: [Service.permit]
	actChangeMember:     adminRank,
	actRemoveMember:     adminRank,
	actChangeRole:       ownerRank,
	actRequests:         adminRank,
	actWithdraw:         outsiderRank, // and whoever requested to join: [Service.permit]
	actInvite:           adminRank,
	actBan:              adminRank,
	actMute:             adminRank,
	actTransfer:         ownerRank,
	actAnswerOffer:      memberRank,
	actDelete:           ownerRank,
}

// calls are the scopes of tokens that allow each action.
var calls = map[action]auth.Calls{
	actView:             auth.ReadGroups,
	actJoin:             auth.WriteGroups,
	actRead:             auth.ReadGroups,
	actPost:             auth.WriteMessages,
	actEditMessage:      auth.WriteMessages,
	actDeleteMessage:    auth.WriteMessages,
	actSignal:           auth.SendSignals,
	actLeave:            auth.WriteGroups,
	actUpdate:           auth.WriteGroups,
	actAddMembers:       auth.WriteMembers,
	actAnswerInvitation: auth.WriteGroups,
	actChangeMember:     auth.WriteMembers,
	actRemoveMember:     auth.WriteMembers,
	actChangeRole:       auth.WriteMembers,
	actRequests:         auth.WriteMembers,
	actWithdraw:         auth.WriteGroups,
	actInvite:           auth.WriteMembers,
	actBan:              auth.WriteMembers,
	actMute:             auth.WriteMembers,
	actIntroduce:        auth.WriteGroups,
	actTransfer:         auth.WriteGroups,
	actAnswerOffer:      auth.WriteGroups,
	actDelete:           auth.WriteGroups,
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

// allow decides whether caller, whose membership in g is m (nil: none), may
// take action a. It returns fault.ErrNotFound to outsiders of a private group,
// ErrNotMember to other outsiders, and fault.ErrForbidden to members below the
// needed rank, and to callers whose token is not for such calls.
func allow(a action, caller auth.Identity, g Group, m *Member) error {
	switch {
	case caller.Admin:
		return caller.Check(calls[a])
	case m == nil && g.Visibility != Public:
		return fault.ErrNotFound
	case rankOf(m) >= least[a]:
		return caller.Check(calls[a])
	case m == nil:
		return ErrNotMember
	default:
		return fault.ErrForbidden
	}
}

// allowOn decides whether the caller, whose membership is m, may act on target.
// An admin may act only on members of a lower rank.
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

// allowSpeech decides whether a caller, whom [allow] lets take action a, may say
// something to others at an instant.
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

// MaySignal returns the rule for who may signal to a group, of those whom [Admit]
// admits. Pass it to [feed.Feed.Subscribe].
func MaySignal(caller auth.Identity) func(Group, *Member) bool {
	return func(g Group, m *Member) bool { return allowSpeech(actSignal, caller, g, m, time.Now()) == nil }
}

// Admit returns the rule for who may subscribe to a group: its members and back
// ends. Pass it to [feed.Feed.Subscribe].
func Admit(caller auth.Identity) func(Group, *Member) error {
	return func(g Group, m *Member) error { return allow(actRead, caller, g, m) }
}
