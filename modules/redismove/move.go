// Package redismove leads a role's use of Redis from one server to another
// while traffic flows.
//
// An operator's [Leader] writes the phase of a move into SQL, never into a
// Redis that may be the one that moves; every node's [Mover] reads it there,
// brings its part of the role to it, and reports. The next phase begins only
// when every live node has reported the one before, so that no node is ever
// more than one phase from another. What happens in a phase is the role's own
// matter: see [Part].
package redismove

import (
	"context"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/redisrole"
)

// Phase is how far a role has gone from one server to another. Each can be
// taken back, but the last: from there the way back is another move.
type Phase int

// The phases.
const (
	Settled Phase = iota // the source alone
	Joined               // connected to the target as well; written and asked: the source
	Both                 // written: both; asked: the source
	Leaving              // written: both; asked: the target
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

// Move is one role's way from one server to another.
type Move struct {
	Role   redisrole.Role
	ID     string
	Phase  Phase
	Source string // names of servers: no secrets
	Target string

	sourceURL, targetURL string // sealed
}

// Server returns the name of the server that is asked.
func (m Move) Server() string {
	if m.Phase >= Leaving {
		return m.Target
	}
	return m.Source
}

// MovedFrom reports whether the move has ended, and left the role on the other
// server than the one of this name. It may have been taken back: then that is
// where a move before it had led.
func (m Move) MovedFrom(server string) bool {
	return server != "" && (m.Phase == Moved && server == m.Source || m.Phase == Settled && server == m.Target)
}

// Part is a node's part of a role.
type Part interface {
	// Enter brings the part to a phase, from whichever it is in, and returns
	// when that is so. from and to are the servers of the move; they stay open
	// until the node stops. It is called again after an error, which is
	// [ErrNotYet] for what takes longer than a call may: the others wait then.
	Enter(ctx context.Context, phase Phase, from, to *redisrole.Clients) error
}

// ErrNotYet says that a part is on its way to a phase.
var ErrNotYet = errors.New("not yet")

// reached is what a node reports of a role.
type reached struct {
	Move  string `json:"move"`
	Phase Phase  `json:"phase"`
	Error string `json:"error,omitempty"`
	Waits string `json:"waits,omitempty"` // it is not there yet, and why
}
