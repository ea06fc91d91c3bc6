package presence

import (
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Sighting says that a user is online in a group, or went offline. A user who is
// reconnecting is online.
type Sighting struct {
	GroupID, UserID string

	Online bool
	At     time.Time // by the store's clock
}

// Observer is told of each user who comes to a node, even if they are online there or
// elsewhere already, and of each one who goes offline. One node is told of the latter. What
// a node tells may be older than what another node has told: compare the times.
type Observer interface {
	// Saw does not block.
	Saw(s Sighting)
}

// saw tells the observer of a change, if there is one.
func (p *Tracker) saw(groupID string, c group.PresenceChange) {
	if p.watcher == nil {
		return
	}
	switch c.Status {
	case group.StatusOnline, group.StatusOffline:
		p.watcher.Saw(Sighting{GroupID: groupID, UserID: c.UserID, Online: c.Status == group.StatusOnline, At: c.At})
	}
}

// wrote tells the observer of a change that the store has taken.
func (p *Tracker) wrote(a Attendance, told group.PresenceChange) {
	if told.Status == "" && a.Here { // they are online on another node, too
		told.UserID, told.Status = a.UserID, group.StatusOnline
	}
	p.saw(a.GroupID, told)
}

// Report tells the observer of all users with sockets on this node.
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
