package group

// subscription is one socket's place in a topic.
type subscription struct {
	socket   Subscriber
	backend  bool
	admitted bool  // it was answered: it is a subscription now
	released bool  // the answer is on its way: events may follow
	pos      int64 // the last version sent, while held
	since    int64 // the version that its admission knew of
}

// waiter is one call that waits for a read of the log.
type waiter struct {
	user  string
	since *int64
	page  *LogPage // shared with others: it is not modified
	err   error
	done  chan struct{}
}

// answer cuts one subscriber's part out of the page that several share.
func (w *waiter) answer() Subscription {
	g := w.page.Group
	a := Subscription{Group: g, Version: g.Version, Events: []Event{}}
	if w.since == nil {
		return a
	}
	since := *w.since
	if since > g.Version || since < w.page.first()-1 {
		a.Snapshot = true
		return a
	}
	a.Version = since
	size := 0
	for _, e := range w.page.Events {
		if e.Version != a.Version+1 {
			continue
		}
		if size += len(e.Data); size > answerBytes && len(a.Events) > 0 {
			break
		}
		a.Events = append(a.Events, e)
		a.Version = e.Version
	}
	return a
}

// endedBy reports whether an event ends a subscription. One that the admission
// already knew of does not: the user came back since.
func (sub *subscription) endedBy(it item, user string) bool {
	if it.version <= sub.since {
		return false
	}
	return user == "" || !sub.backend && user == sub.socket.UserID()
}
