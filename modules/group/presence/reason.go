package presence

import "github.com/moim-live/moim/modules/group"

// ending says how a user's last subscription ended. See [Attendance].
type ending struct {
	reason        string
	final, forget bool
}

// endingOf maps a reason from the feed to an ending. A user who may come back gets a grace.
// A former member is forgotten. A reason that is not listed comes from a program's
// translator.
func endingOf(reason string) ending {
	switch reason {
	case group.EndUnsubscribed:
		return ending{reason: group.ReasonLeft, final: true}
	case group.EndLeft:
		return ending{reason: group.ReasonLeft, final: true, forget: true}
	case group.EndRemoved, group.EndBanned, group.EndDeleted:
		return ending{reason: group.ReasonRemoved, final: true, forget: true}
	case group.EndDrained:
		return ending{reason: group.ReasonDrained}
	case group.EndExpired:
		return ending{reason: group.ReasonExpired}
	case "", group.EndDropped, group.EndResync:
		return ending{reason: group.ReasonDropped}
	default:
		return ending{reason: group.ReasonRemoved, final: true}
	}
}
