package hook

import (
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/group"
)

const maxPatterns = 50

// Matches reports whether one of the patterns matches a type of event. "*" matches every
// type in the log; "member.*" matches every type that begins with "member.".
func Matches(patterns []string, typ group.EventType) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "*" {
			return !strings.HasPrefix(string(typ), presencePrefix)
		}
		if prefix, any := strings.CutSuffix(p, "*"); any {
			return strings.HasPrefix(string(typ), prefix)
		}
		return p == string(typ)
	})
}

// types are all types of events and of changes of presence.
var types = []group.EventType{
	group.GroupCreated, group.GroupUpdated, group.GroupReminder, group.GroupEnded, group.GroupDeleted,
	group.MemberJoined, group.MemberUpdated, group.MemberLeft, group.MemberRemoved, group.MemberBanned, group.MemberInvited,
	group.MemberMuted, group.MemberUnmuted, group.MessagePosted, group.MessageEdited, group.MessageDeleted,
	group.OwnerOffered, group.OwnerTransferred, group.RequestCreated, group.RequestApproved, group.RequestRejected, group.RequestWithdrawn,
	group.InviteCreated, group.InviteRevoked,
	PresenceOnline, PresenceOffline,
}

// checkPattern returns what is wrong with a pattern, or an empty string.
func checkPattern(p string) string {
	if prefix, any := strings.CutSuffix(p, "*"); any && (prefix == "" || strings.HasSuffix(prefix, ".")) && !strings.Contains(prefix, "*") {
		if slices.ContainsFunc(types, func(t group.EventType) bool { return strings.HasPrefix(string(t), prefix) }) {
			return ""
		}
	}
	if slices.Contains(types, group.EventType(p)) {
		return ""
	}
	return "is no type of event: use one such as member.joined, a kind such as member.* or presence.*, or * for all but presence"
}
