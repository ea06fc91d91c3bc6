package redispresence

import (
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
)

// claim is what this node knows about one of its users. The user is online here, or is
// reconnecting, or has left but the server has not confirmed it. If the server loses its
// data, the node registers its claims again.
type claim struct {
	here      bool
	id, epoch string // the identity under which the server knows the user
	unsure    bool   // the last write may have been stored or not
	state     string // the live state in its stored form

	until  time.Time // when the grace ends; zero if there is none
	reason string
	since  string // in ms, by the server's clock
}

// claims are claims by group and user.
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

// remember records changes in the claims, whether or not the server can store them.
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
		// A server that lost its data does not know the user, so it would not report that
		// they leave.
		lost := c.here && !a.Here && c.epoch != s.self.epoch
		marked[i] = change{Attendance: a, force: c.unsure || lost}
		c.here, c.unsure = a.Here, true
	}
	return s.self, marked
}

// confirm updates the claims with the server's replies.
func (s *Store) confirm(self identity, changes []change, told []result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range changes {
		c := s.claims.get(a.GroupID, a.UserID)
		switch {
		case c == nil: // this node got another identity meanwhile
		case a.Here:
			state := c.state
			if told[i].state != "" {
				state = told[i].state
			}
			*c = claim{here: true, id: self.id, epoch: self.epoch, state: state}
		case told[i].status == group.StatusReconnecting:
			s.graceLocked(self, a.Attendance, told[i])
		default:
			s.claims.drop(a.GroupID, a.UserID)
		}
	}
}

// graceLocked records a grace that began on this node.
func (s *Store) graceLocked(self identity, a presence.Attendance, r result) {
	s.claims.put(a.GroupID, a.UserID, &claim{
		id:     self.id,
		epoch:  self.epoch,
		state:  r.state,
		until:  time.Now().Add(s.grace),
		reason: a.Reason,
		since:  r.at,
	})
}

// forgetLostGraces drops the claims of users who are not here. Other nodes took over their
// graces when they considered this node dead.
func (s *Store) forgetLostGraces() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.dropIf(func(c *claim) bool {
		c.unsure = false
		return !c.here
	})
}

// forgetEnded drops graces that must have ended on the server, which still had its data at
// began.
func (s *Store) forgetEnded(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.dropIf(func(c *claim) bool { return !c.until.IsZero() && c.until.Add(s.timing.Lease).Before(began) })
}
