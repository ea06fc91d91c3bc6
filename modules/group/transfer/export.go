package transfer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// Encoder writes a file that an [Importer] reads. It is not safe for concurrent use.
type Encoder struct {
	out     *bufio.Writer
	json    *json.Encoder
	written Counts
}

// NewEncoder returns an encoder that writes to out.
func NewEncoder(out io.Writer) *Encoder {
	e := &Encoder{out: bufio.NewWriterSize(out, 1<<16)}
	e.json = json.NewEncoder(e.out)
	e.json.SetEscapeHTML(false)
	return e
}

// written is a line of the file.
type written struct {
	Group   *dto.GroupLine   `json:"group,omitempty"`
	Member  *dto.MemberLine  `json:"member,omitempty"`
	Ban     *dto.BanLine     `json:"ban,omitempty"`
	Invite  *dto.InviteLine  `json:"invite,omitempty"`
	Message *dto.MessageLine `json:"message,omitempty"`
}

// Put writes a record: a [NewGroup] (without its owner as a member), a [NewMember], a
// [NewBan], a [NewInvite], or a [Message].
func (e *Encoder) Put(record any) error {
	var l written
	switch r := record.(type) {
	case NewGroup:
		l.Group = groupLine(r.Group)
		e.written.Groups++
	case NewMember:
		l.Member = &dto.MemberLine{
			GroupID: r.GroupID, UserID: r.UserID, Name: r.Name, Role: string(r.Role), Attributes: filled(r.Attributes), Profile: r.Profile,
			JoinedAt: &r.JoinedAt, Muted: r.Muted, MutedUntil: r.MutedUntil,
		}
		e.written.Members++
	case NewBan:
		l.Ban = &dto.BanLine{GroupID: r.GroupID, UserID: r.UserID, Reason: r.Reason, ExpiresAt: r.ExpiresAt, Actor: r.Actor, At: &r.At}
		e.written.Bans++
	case NewInvite:
		l.Invite = &dto.InviteLine{
			GroupID: r.GroupID, InviteID: r.InviteID, CodeHash: r.CodeHash, MaxUses: r.MaxUses, Uses: r.Uses,
			ExpiresAt: r.ExpiresAt, CreatedBy: r.CreatedBy, CreatedAt: &r.CreatedAt,
		}
		e.written.Invites++
	case Message:
		l.Message = &dto.MessageLine{GroupID: r.GroupID, Actor: r.Actor, Type: r.Type, Data: r.Data, At: &r.At, EditedAt: r.EditedAt, Version: r.Version}
		e.written.Messages++
	default:
		return fmt.Errorf("a record of type %T", record)
	}
	return e.json.Encode(l)
}

// Message is a message in a group's log.
type Message struct {
	GroupID string
	group.Message
}

// Close flushes the buffer, and returns the numbers of written records by kind.
func (e *Encoder) Close() (Counts, error) { return e.written, e.out.Flush() }

func groupLine(g group.Group) *dto.GroupLine {
	return &dto.GroupLine{
		ID: g.ID, CreatedAt: &g.CreatedAt, UpdatedAt: &g.UpdatedAt, EndedAt: g.EndedAt,
		CreateRequest: dto.CreateRequest{
			Name: g.Name, Description: g.Description, Visibility: string(g.Visibility), JoinPolicy: string(g.JoinPolicy), Posting: string(g.Posting),
			ReadReceipts: g.ReadReceipts, Capacity: g.Capacity, Attributes: filled(g.Attributes), OwnerID: g.OwnerID,
			EndsAt: g.EndsAt, RemindBefore: g.RemindBefore,
		},
	}
}

// filled returns an object, or nil if it is empty.
func filled(object json.RawMessage) json.RawMessage {
	if string(object) == "{}" {
		return nil
	}
	return object
}
