// Package redismove moves a role from one Redis server to another without downtime.
//
// An operator's [Leader] writes the phase of a move into SQL, because a Redis server may be
// the one that moves. Every node's [Mover] reads the phase there, makes its [Part] of the
// role enter it, and reports this. The next phase begins when every live node has reported
// the one before. So two nodes are never more than one phase apart.
package redismove

import (
	"context"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/redisrole"
)

// Phase is the progress of a move. Each phase except the last can be taken back. From the
// last phase, only another move leads back.
type Phase int

// The phases.
const (
	Settled Phase = iota // only the source is used
	Joined               // also connected to the target; reads and writes: the source
	Both                 // writes: both; reads: the source
	Leaving              // writes: both; reads: the target
	Moved                // only the target is used
)

// String returns the phase's name.
func (p Phase) String() string {
	names := [...]string{"settled", "join", "both", "switch", "moved"}
	if p < Settled || p > Moved {
		return fmt.Sprintf("phase %d", int(p))
	}
	return names[p]
}

// Move is the move of a role from one server to another.
type Move struct {
	Role   redisrole.Role
	ID     string
	Phase  Phase
	Source string // the servers' names, without secrets
	Target string

	sourceURL, targetURL string // encrypted; see Secret
}

// Server returns the name of the server that is read.
func (m Move) Server() string {
	if m.Phase >= Leaving {
		return m.Target
	}
	return m.Source
}

// MovedFrom reports whether the role was moved away from the server with this name: the
// move has ended, and the server in use is the other one of the move. A move that was taken
// back ends on its source, which may be the target of an earlier move.
func (m Move) MovedFrom(server string) bool {
	return server != "" && (m.Phase == Moved && server == m.Source || m.Phase == Settled && server == m.Target)
}

// Part is a role's part of one node, which moves with the role.
type Part interface {
	// Enter makes the part enter a step's phase, from any other phase. After an error it is
	// called again. If the error is [ErrNotYet], the part needs more time, and the
	// operator's command waits.
	Enter(ctx context.Context, s Step) error
}

// Step is a phase for a part to enter.
type Step struct {
	Phase   Phase
	Forward bool // from an earlier phase: the step fails if the target cannot be used

	// The servers of the move. They stay open until the node stops.
	From, To *redisrole.Clients
}

// check returns an error if no part could make the step.
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

// unknown returns the error of a part for an unknown phase.
func (s Step) unknown() error { return fmt.Errorf("redismove: this version does not know %s", s.Phase) }

// ErrNotYet is the error of a part that needs more time to enter a phase.
var ErrNotYet = errors.New("not yet")

// reached is a node's report about a role.
type reached struct {
	Move  string `json:"move"`
	Phase Phase  `json:"phase"`
	Error string `json:"error,omitempty"`
	Waits string `json:"waits,omitempty"` // why the phase is not reached yet
}
