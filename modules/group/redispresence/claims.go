package redispresence

import (
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// claim is what this node knows of a user of its own: one who is here, whom it
// waits for, or of whom it could not say that they went. All of it is entered
// again when the server forgets.
type claim struct {
	here      bool
	id, epoch string // under which they are entered, or waited for
	unsure    bool   // they were written, and nobody knows what became of it
	state     string // the live state, as stored

	until  time.Time // not here: when the grace ends; zero: it was not begun
	reason string
	since  string // in ms, by the server's clock
}

// claims are by group and user.
type claims map[string]map[string]*claim

func (c claims) get(groupID, userID string) *claim { return c[groupID][userID] }

func (c claims) put(groupID, userID string, cl *claim) {
	if c[groupID] == nil {
		c[groupID] = make(map[string]*claim)
	}
	c[groupID][userID] = cl
}

func (c claims) drop(groupID, userID string) {
	delete(c[groupID], userID)
	if len(c[groupID]) == 0 {
		delete(c, groupID)
	}
}

// dropIf drops every claim for which fn holds.
func (c claims) dropIf(fn func(*claim) bool) {
	for groupID, users := range c {
		for userID, cl := range users {
			if fn(cl) {
				c.drop(groupID, userID)
			}
		}
	}
}

// remember keeps what is true on this node, whatever becomes of writing it.
func (s *Store) remember(changes []presence.Attendance) (identity, []change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	marked := make([]change, len(changes))
	for i, a := range changes {
		c := s.claims.get(a.GroupID, a.UserID)
		if c == nil {
			c = &claim{}
			s.claims.put(a.GroupID, a.UserID, c)
		}
		// Who went after the server forgot them is not known to it, and has gone
		// all the same.
		lost := c.here && !a.Here && c.epoch != s.self.epoch
		marked[i] = change{Attendance: a, force: c.unsure || lost}
		c.here, c.unsure = a.Here, true
	}
	return s.self, marked
}

// confirm keeps what the server answered.
func (s *Store) confirm(self identity, changes []change, told []result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range changes {
		c := s.claims.get(a.GroupID, a.UserID)
		switch {
		case c == nil: // this node is another one now
		case a.Here:
			state := c.state
			if told[i].state != "" {
				state = told[i].state
			}
			*c = claim{here: true, id: self.id, epoch: self.epoch, state: state}
		case told[i].status == group.StatusReconnecting:
			s.waitsLocked(self, a.Attendance, told[i])
		default:
			s.claims.drop(a.GroupID, a.UserID)
		}
	}
}

// waitsLocked keeps whom this node waits for.
func (s *Store) waitsLocked(self identity, a presence.Attendance, r result) {
	s.claims.put(a.GroupID, a.UserID, &claim{
		id:     self.id,
		epoch:  self.epoch,
		state:  r.state,
		until:  time.Now().Add(s.grace),
		reason: a.Reason,
		since:  r.at,
	})
}

// expelled forgets what the others have taken over from this node.
func (s *Store) expelled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.dropIf(func(c *claim) bool {
		c.unsure = false
		return !c.here
	})
}

// forgetEnded forgets graces whose end the server cannot have missed: it has
// kept its data until began.
func (s *Store) forgetEnded(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.dropIf(func(c *claim) bool { return !c.until.IsZero() && c.until.Add(s.timing.lease).Before(began) })
}
