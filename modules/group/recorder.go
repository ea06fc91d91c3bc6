package group

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// maxRecorded limits the JSON of the records before or after a change in an audit entry.
// The largest record, a message, takes half of it.
const maxRecorded = 64 << 10

// The kinds of records in audit entries. An entry has at most one group, one message and
// one offer. It may have several records of the other kinds.
const (
	kindGroup   = "group"
	kindMessage = "message"
	kindOffer   = "offer"

	kindMembers     = "members"
	kindBans        = "bans"
	kindMutes       = "mutes"
	kindRequests    = "requests"
	kindInvitations = "invitations"
	kindInvites     = "invites"
)

// recorder is a [Tx] that notes what a change does to the group's records. It notes a
// record when it is written. The record's earlier state is what the change has read, or is
// read then.
type recorder struct {
	Tx
	changed   bool
	group     Group
	members   map[string]*Member
	outsiders map[string]Outsider
	mutes     map[string]*Mute
	messages  map[int64]Event // messages that the change has read, and edits that it makes

	notes []note
	place map[[2]string]int // index in notes, by kind and id
	about map[string]bool   // user ids
}

// note is a record before and after a change. nil means that there is none.
type note struct {
	kind          string
	before, after any
}

func newRecorder(tx Tx) *recorder {
	return &recorder{
		Tx: tx, group: tx.Group(),
		members: make(map[string]*Member), outsiders: make(map[string]Outsider), mutes: make(map[string]*Mute), messages: make(map[int64]Event),
		place: make(map[[2]string]int), about: make(map[string]bool),
	}
}

// note notes one record. id distinguishes records of the same kind.
func (r *recorder) note(kind, id string, before, after any) {
	r.changed = true
	key := [2]string{kind, id}
	if i, ok := r.place[key]; ok {
		r.notes[i].after = after
		return
	}
	r.place[key] = len(r.notes)
	r.notes = append(r.notes, note{kind, before, after})
}

// noteOf notes a record about a user. A nil pointer means no record.
func noteOf[T any](r *recorder, kind, userID string, before, after *T) {
	r.about[userID] = true
	var was, is any
	if before != nil {
		was = *before
	}
	if after != nil {
		is = *after
	}
	r.note(kind, userID, was, is)
}

// records returns the user whom the notes are about (empty for none or several), and the
// records before and after the change as JSON objects.
func (r *recorder) records() (userID string, before, after json.RawMessage, err error) {
	if len(r.about) == 1 {
		for id := range r.about {
			userID = id
		}
	}
	if before, err = encodeNotes(r.notes, func(n note) any { return n.before }); err != nil {
		return "", nil, nil, err
	}
	after, err = encodeNotes(r.notes, func(n note) any { return n.after })
	return userID, before, after, err
}

// encodeNotes encodes one side of the notes: by kind, a record or a list of records. It
// leaves out records that are beyond [maxRecorded], and says how many.
func encodeNotes(notes []note, side func(note) any) (json.RawMessage, error) {
	sides := make(map[string]any)
	size, leftOut := 0, 0
	for _, n := range notes {
		record := side(n)
		if record == nil {
			continue
		}
		raw, err := rawjson.Marshal(record)
		if err != nil {
			return nil, err
		}
		if size+len(raw) > maxRecorded {
			leftOut++
			continue
		}
		size += len(raw)
		if slices.Contains([]string{kindGroup, kindMessage, kindOffer}, n.kind) {
			sides[n.kind] = raw
			continue
		}
		list, _ := sides[n.kind].([]json.RawMessage)
		sides[n.kind] = append(list, raw)
	}
	if leftOut > 0 {
		sides["leftOut"] = leftOut
	}
	return rawjson.Marshal(sides)
}

// Reads of a change.

func (r *recorder) Member(ctx context.Context, userID string) (*Member, error) {
	m, err := r.Tx.Member(ctx, userID)
	if _, known := r.members[userID]; err == nil && !known {
		r.members[userID] = copyOf(m)
	}
	return m, err
}

func (r *recorder) Outsiders(ctx context.Context, userIDs ...string) (map[string]Outsider, error) {
	found, err := r.Tx.Outsiders(ctx, userIDs...)
	if err == nil {
		for _, id := range userIDs {
			if _, known := r.outsiders[id]; !known {
				r.outsiders[id] = found[id]
			}
		}
	}
	return found, err
}

func (r *recorder) Mute(ctx context.Context, userID string) (*Mute, error) {
	m, err := r.Tx.Mute(ctx, userID)
	if _, known := r.mutes[userID]; err == nil && !known {
		r.mutes[userID] = copyOf(m)
	}
	return m, err
}

func (r *recorder) Event(ctx context.Context, version int64) (*Event, error) {
	e, err := r.Tx.Event(ctx, version)
	if e != nil && err == nil {
		r.messages[version] = *e
	}
	return e, err
}

func copyOf[T any](v *T) *T {
	if v == nil {
		return nil
	}
	return new(*v)
}

// member returns a member as before the change, or nil.
func (r *recorder) member(ctx context.Context, userID string) (*Member, error) {
	if _, known := r.members[userID]; !known {
		if _, err := r.Member(ctx, userID); err != nil {
			return nil, err
		}
	}
	return r.members[userID], nil
}

// outsider returns what the group kept about a user before the change.
func (r *recorder) outsider(ctx context.Context, userID string) (Outsider, error) {
	if _, known := r.outsiders[userID]; !known {
		if _, err := r.Outsiders(ctx, userID); err != nil {
			return Outsider{}, err
		}
	}
	return r.outsiders[userID], nil
}

// messageRecord is a message in an audit entry.
type messageRecord struct {
	Version   int64           `json:"version"`
	Type      string          `json:"type"`
	Actor     *string         `json:"actor,omitempty"`    // the author
	EditedBy  *string         `json:"editedBy,omitempty"` // user of the last edit
	Data      json.RawMessage `json:"data"`
	EditedAt  *time.Time      `json:"editedAt,omitempty"`
	DeletedAt *time.Time      `json:"deletedAt,omitempty"`
}

// recordOf returns the record of a message. The user of its last edit comes from the event
// of the edit.
func (r *recorder) recordOf(ctx context.Context, e Event) (messageRecord, error) {
	m, err := postedIn(e)
	if err != nil {
		return messageRecord{}, err
	}
	record := messageRecord{Version: e.Version, Type: m.Type, Actor: e.Actor, Data: m.Data, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt}
	if m.EditedIn == 0 {
		return record, nil
	}
	if _, known := r.messages[m.EditedIn]; !known {
		if _, err := r.Event(ctx, m.EditedIn); err != nil {
			return messageRecord{}, err
		}
	}
	record.EditedBy = r.messages[m.EditedIn].Actor
	return record, nil
}
