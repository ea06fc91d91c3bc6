// Package redismove moves a role from one Redis server to another while
// traffic flows.
//
// An operator's [Leader] writes the phase of a move into SQL, never into a
// Redis that may be the one that moves. Every node's [Mover] reads it there,
// brings its [Part] of the role to it, and reports. The next phase begins when
// every live node has reported the one before. So no node is ever more than
// one phase away from another.
package redismove

import (
	"context"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/redisrole"
)

// Phase is how far a role has gone from one server to another. Each phase can
// be taken back except the last: from there the way back is another move.
type Phase int

// The phases.
const (
	Settled Phase = iota // the source alone
	Joined               // connected to the target as well; reads and writes: the source
	Both                 // writes: both; reads: the source
	Leaving              // writes: both; reads: the target
	Moved                // the target alone
)

// String returns the phase's name.
func (p Phase) String() string {
	names := [...]string{"settled", "join", "both", "switch", "moved"}
	if p < Settled || p > Moved {
		return fmt.Sprintf("phase %d", int(p))
	}
	return names[p]
}

// Move is a role's way from one server to another.
type Move struct {
	Role   redisrole.Role
	ID     string
	Phase  Phase
	Source string // the servers' names, without secrets
	Target string

	sourceURL, targetURL string // sealed
}

// Server returns the name of the server that is read.
func (m Move) Server() string {
	if m.Phase >= Leaving {
		return m.Target
	}
	return m.Source
}

// MovedFrom reports whether the move has ended and the role is not on the
// server of this name, but on the move's other one. A move that was taken back
// ends on its source, where an earlier move may have led.
func (m Move) MovedFrom(server string) bool {
	return server != "" && (m.Phase == Moved && server == m.Source || m.Phase == Settled && server == m.Target)
}

// Part is what moves with a role on one node.
type Part interface {
	// Enter brings the part to a step's phase, from any other phase. It is
	// called again after an error. If the error is [ErrNotYet], the part needs
	// more time, and the operator waits for it.
	Enter(ctx context.Context, s Step) error
}

// Step is a phase that a part enters.
type Step struct {
	Phase   Phase
	Forward bool // from an earlier phase: the step fails if the target cannot be used

	// The servers of the move. They stay open until the node stops.
	From, To *redisrole.Clients
}

// check fails if the step cannot be taken, whatever moves with the role.
func (s Step) check(ctx context.Context, role redisrole.Role) error {
	given := s.From.Source(role) == redisrole.Given || s.To.Source(role) == redisrole.Given
	if given && role != redisrole.Cache {
		return fmt.Errorf("the program that embeds this node gave it the %s role's client: give it another one", role)
	}
	if s.Forward && s.Phase != Moved { // a node that cannot reach the target stops the move
		return s.To.Health(ctx, role)
	}
	return nil
}

// unknown is the error of a part that does not know the phase.
func (s Step) unknown() error { return fmt.Errorf("redismove: this version does not know %s", s.Phase) }

// ErrNotYet is a part's error while it needs more time to enter a phase.
var ErrNotYet = errors.New("not yet")

// reached is a node's report about a role.
type reached struct {
	Move  string `json:"move"`
	Phase Phase  `json:"phase"`
	Error string `json:"error,omitempty"`
	Waits string `json:"waits,omitempty"` // why it is not there yet
}
