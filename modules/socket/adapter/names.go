package adapter

import (
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// Names are the rooms and events that a module reserves with [Hub.Reserve]: all
// names that begin with one of its prefixes.
type Names struct {
	Owner   string   // in errors: "the group module"
	Rooms   []string // prefixes, like "group:"
	Events  []string
	Instead string // in errors: what others should do
}

// kind tells rooms from events.
type kind string

const (
	roomNames  kind = "room"
	eventNames kind = "event"
)

func (n *Names) prefixes(k kind) []string {
	if k == roomNames {
		return n.Rooms
	}
	return n.Events
}

// owns reports whether the name begins with one of the prefixes.
func (n *Names) owns(k kind, name string) bool {
	for _, prefix := range n.prefixes(k) {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// CheckEvent returns a [ReservedError] for an event of the module.
func (n *Names) CheckEvent(event string) error {
	if n.owns(eventNames, event) {
		return n.refusal(eventNames, event)
	}
	return nil
}

func (n *Names) refusal(k kind, name string) error {
	return &ReservedError{Kind: string(k), Name: name, Owner: n.Owner, Instead: n.Instead}
}

// overlap returns an error if some name would belong to both.
func (n *Names) overlap(k kind, other *Names) error {
	for _, a := range n.prefixes(k) {
		for _, b := range other.prefixes(k) {
			if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
				return fmt.Errorf("adapter: %s cannot reserve %ss %q: %s has reserved %q", n.Owner, k, a, other.Owner, b)
			}
		}
	}
	return nil
}

// ReservedError says that a room or an event belongs to somebody else. Where a
// handler returns it, the client is answered "forbidden".
type ReservedError struct {
	Kind    string // "room" or "event"
	Name    string
	Owner   string // as in [Names]
	Instead string // as in [Names]
}

// Error implements error.
func (e *ReservedError) Error() string {
	return fmt.Sprintf("adapter: the %s %q belongs to %s: choose another name, or %s", e.Kind, e.Name, e.Owner, e.Instead)
}

// Unwrap returns what a client may see.
func (e *ReservedError) Unwrap() error { return fault.ErrForbidden }
