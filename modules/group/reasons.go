package group

// Reasons why a subscription ended. A [Translator] may add its own.
const (
	EndUnsubscribed = "unsubscribed"
	EndDropped      = "dropped"
	EndDrained      = "drained"
	EndExpired      = "expired"
	EndLeft         = "left"
	EndRemoved      = "removed"
	EndBanned       = "banned"
	EndDeleted      = "deleted"
	EndResync       = "resync"
)
