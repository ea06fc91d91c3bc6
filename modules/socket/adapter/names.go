package adapter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// Names are the rooms and events that a module reserves with [Hub.Reserve]: all names that
// begin with one of the prefixes.
type Names struct {
	Owner   string   // for error messages: "the group module"
	Rooms   []string // prefixes, such as "group:"
	Events  []string // prefixes
	Instead string   // for error messages: what other callers should do
}

// kind is either room or event.
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

func (n *Names) owns(k kind, name string) bool {
	return slices.ContainsFunc(n.prefixes(k), func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// CheckEvent returns a [ReservedError] for an event that the names include.
func (n *Names) CheckEvent(event string) error {
	if n.owns(eventNames, event) {
		return n.refusal(eventNames, event)
	}
	return nil
}

func (n *Names) refusal(k kind, name string) error {
	return &ReservedError{Kind: string(k), Name: name, Owner: n.Owner, Instead: n.Instead}
}

// overlap returns an error if a name could belong to both owners.
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

// ReservedError is the error for a room or event of another owner. If a handler returns it,
// the client gets "forbidden".
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

// Unwrap returns the error that the client gets.
func (e *ReservedError) Unwrap() error { return fault.ErrForbidden }
