package presence

import "github.com/moim-live/moim/modules/group"

// ending says how somebody's last subscription ended.
type ending struct {
	reason        string
	final, forget bool
}

// endingOf reads the feed's reason. Whoever may come back is waited for; who is
// no member any more was not there lately either. A reason that is not known
// here is a program's own word for an end that it made.
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
