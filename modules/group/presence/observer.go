package presence

import (
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Sighting says that a user is online in a group, or went offline. A reconnecting user
// counts as online.
type Sighting struct {
	GroupID, UserID string

	Online bool
	At     time.Time // by the store's clock
}

// Observer is told of each user who comes to a node, even if they are already online there
// or elsewhere. It is also told of each user who goes offline, by one node only. Reports of
// different nodes may arrive out of order: compare their times.
type Observer interface {
	// Saw does not block.
	Saw(s Sighting)
}

// saw reports a change to the observer, if there is one.
func (p *Tracker) saw(groupID string, c group.PresenceChange) {
	if p.watcher == nil {
		return
	}
	switch c.Status {
	case group.StatusOnline, group.StatusOffline:
		p.watcher.Saw(Sighting{GroupID: groupID, UserID: c.UserID, Online: c.Status == group.StatusOnline, At: c.At})
	}
}

// wrote reports a change that the store has accepted to the observer.
func (p *Tracker) wrote(a Attendance, told group.PresenceChange) {
	if told.Status == "" && a.Here { // the user is also online on another node
		told.UserID, told.Status = a.UserID, group.StatusOnline
	}
	p.saw(a.GroupID, told)
}

// Report reports all users with sockets on this node to the observer.
func (p *Tracker) Report() {
	if p.watcher == nil {
		return
	}
	now := time.Now().UTC()
	p.mu.Lock()
	var here []Sighting
	for groupID, users := range p.groups {
		for userID, a := range users {
			if a.sockets > 0 && a.stored {
				here = append(here, Sighting{GroupID: groupID, UserID: userID, Online: true, At: now})
			}
		}
	}
	p.mu.Unlock()
	for _, s := range here {
		p.watcher.Saw(s)
	}
}
