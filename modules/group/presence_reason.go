package group

// Statuses of a member.
const (
	StatusOnline       = "online"       // has a subscribed socket
	StatusReconnecting = "reconnecting" // had one until now, and may come back
	StatusOffline      = "offline"
)

// Reasons why a member is not online, as subscribers are told.
const (
	ReasonLeft     = "left"      // unsubscribed, or left the group
	ReasonDropped  = "dropped"   // his connection ended
	ReasonRemoved  = "removed"   // removed or banned, or the group is deleted
	ReasonNodeLost = "node_lost" // his node died
	ReasonDrained  = "drained"   // his node stopped
	ReasonExpired  = "expired"   // his token expired, or a back end disconnected him
)

// Why a subscription ended, as the feed tells its watcher: besides these, the
// reasons of group:closed.
const (
	endUnsubscribed = "unsubscribed"
	endDropped      = "dropped"
	endDrained      = "drained"
	endExpired      = "expired"
	endLeft         = "left"
	endRemoved      = "removed"
	endBanned       = "banned"
	endDeleted      = "deleted"
	endResync       = "resync"
)

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
	case endUnsubscribed:
		return ending{reason: ReasonLeft, final: true}
	case endLeft:
		return ending{reason: ReasonLeft, final: true, forget: true}
	case endRemoved, endBanned, endDeleted:
		return ending{reason: ReasonRemoved, final: true, forget: true}
	case endDrained:
		return ending{reason: ReasonDrained}
	case endExpired:
		return ending{reason: ReasonExpired}
	case "", endDropped, endResync:
		return ending{reason: ReasonDropped}
	default:
		return ending{reason: ReasonRemoved, final: true}
	}
}
