package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
)

// Write writes what is missing, and returns the numbers of written items. Call it after a
// [Check] without mistakes. It writes groups and messages before members, so that no member
// sees a group without its messages, and imported messages count as read. It writes bans
// before members, so that a user with lines of both kinds is banned.
//
// If Write fails, or the process ends, a part of the file has been written. Repeating the
// import writes the rest.
func (i *Importer) Write(ctx context.Context) (Counts, error) {
	for id, g := range i.groups {
		g.last = Place{}
		i.groups[id] = g
	}
	i.clash = Clashes{}
	w := &writer{Importer: i}
	if err := w.record(ctx); err != nil {
		return w.done, err
	}
	for _, step := range []struct {
		name  string
		kinds []string
	}{
		{"groups and messages", []string{aGroup, aMessage}},
		{"bans", []string{aBan}},
		{"members and invites", []string{aMember, anInvite}},
	} {
		err := i.each(ctx, step.name, func(l *line) error { return w.add(ctx, l, step.kinds) }, step.kinds...)
		if err == nil {
			err = w.flush(ctx)
		}
		if err != nil {
			return w.done, err
		}
	}
	if w.done.All() == 0 || w.cfg.Dry {
		return w.done, nil
	}
	return w.done, w.store.Analyze(ctx)
}

// writer collects lines into batches.
type writer struct {
	*Importer
	batch Batch
	lines int
	size  int
	entry *audit.Entry // set until it is stored
	done  Counts
}

// record creates the audit entry. It is stored with the first change.
func (w *writer) record(ctx context.Context) error {
	entry, err := audit.New(audit.WithVia(ctx, audit.Command), w.cfg.By, "import")
	if err != nil {
		return err
	}
	entry.After, err = json.Marshal(map[string]any{"file": struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
		Lines  Counts `json:"lines"`
	}{w.cfg.File, w.hash, w.report.Counts}})
	w.entry = &entry
	return err
}

// add adds a line to the batch.
func (w *writer) add(ctx context.Context, l *line, kinds []string) error {
	if len(l.mistakes) > 0 {
		return ErrChanged
	}
	for _, kind := range kinds {
		if l.kind != kind {
			continue
		}
		if err := w.addLine(l); err != nil {
			return fmt.Errorf("line %d: %w", l.number, err)
		}
		w.lines, w.size = w.lines+1, w.size+l.size
	}
	if w.lines < w.most && w.size < batchBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *writer) addLine(l *line) error {
	groupID := l.groupID()
	g, known := w.groups[idOf(groupID)]
	if !known {
		return ErrChanged
	}
	before := w.batch
	var fresh Counts // counts of a group that is not in the database
	switch l.kind {
	case aGroup:
		w.batch.Groups = append(w.batch.Groups, w.newGroup(groupID, l))
		fresh.Groups++
	case aMessage:
		if !g.place(l) {
			return ErrChanged
		}
		w.groups[idOf(groupID)] = g
		data, err := group.EncodeMessage(l.message.Type, l.message.Data, l.message.EditedAt)
		if err != nil {
			return err
		}
		w.batch.Messages = append(w.batch.Messages, NewMessage{groupID, l.message.Actor, data, g.last, l.message.Version})
		fresh.Messages++
	case aMember:
		w.batch.Members = append(w.batch.Members, NewMember{groupID, w.member(l)})
		fresh.Members++
	case aBan:
		if b := w.ban(l); b.ExpiresAt == nil || b.ExpiresAt.After(w.now) {
			w.batch.Bans = append(w.batch.Bans, NewBan{groupID, b})
			fresh.Bans++
		}
	case anInvite:
		if v, hash := w.invite(l); v.Holds(w.now) {
			w.batch.Invites = append(w.batch.Invites, NewInvite{groupID, hash, l.number, v})
			fresh.Invites++
		}
	}
	if w.cfg.Dry && g.isNew {
		w.batch = before // the line cannot be tried
		w.done.add(fresh)
	}
	return nil
}

// flush writes the batch.
func (w *writer) flush(ctx context.Context) error {
	if w.lines == 0 {
		return nil
	}
	w.batch.Entry = w.entry
	written, err := w.store.Import(ctx, w.batch, w.cfg.Dry)
	if err != nil {
		return err
	}
	if written.All() > 0 {
		w.entry = nil
	}
	w.done.add(written.Counts)
	for _, v := range written.Clashes {
		if w.clash.All++; len(w.clash.Lines) < maxClashes {
			w.clash.Lines = append(w.clash.Lines, v.Line)
		}
	}
	w.batch, w.lines, w.size = Batch{}, 0, 0
	return nil
}

func (w *writer) newGroup(groupID string, l *line) NewGroup {
	v := l.group
	created := timeOr(v.CreatedAt, w.now)
	return NewGroup{
		Source: v.ID,
		Owner:  group.Member{UserID: v.OwnerID, Name: v.OwnerName, Role: group.Owner, JoinedAt: created},
		Group: group.Group{
			ID: groupID, Name: v.Name, Description: v.Description,
			Visibility: group.Visibility(v.Visibility), JoinPolicy: group.JoinPolicy(v.JoinPolicy), Posting: group.Posting(v.Posting),
			ReadReceipts: v.ReadReceipts, Capacity: v.Capacity, Attributes: v.Attributes,
			CreatedAt: created, UpdatedAt: timeOr(v.UpdatedAt, created),
			EndsAt: v.EndsAt, EndedAt: v.EndedAt, RemindBefore: v.RemindBefore,
		},
	}
}

func (w *writer) member(l *line) group.Member {
	v := l.member
	role := group.Role(v.Role)
	if role == "" {
		role = group.MemberRole
	}
	return group.Member{
		UserID: v.UserID, Name: v.Name, Role: role, Attributes: v.Attributes, Profile: v.Profile,
		JoinedAt: timeOr(v.JoinedAt, w.now), Muted: v.Muted && (v.MutedUntil == nil || v.MutedUntil.After(w.now)), MutedUntil: v.MutedUntil,
	}
}

func (w *writer) ban(l *line) group.Ban {
	v := l.ban
	return group.Ban{UserID: v.UserID, Reason: v.Reason, ExpiresAt: v.ExpiresAt, Actor: v.Actor, At: timeOr(v.At, w.now)}
}

func (w *writer) invite(l *line) (v group.Invite, hash string) {
	of := l.invite
	hash = of.CodeHash
	if of.Code != "" {
		sum := sha256.Sum256([]byte(of.Code))
		hash = hex.EncodeToString(sum[:])
	}
	v = group.Invite{InviteID: of.InviteID, MaxUses: of.MaxUses, Uses: of.Uses, ExpiresAt: of.ExpiresAt, CreatedBy: of.CreatedBy, CreatedAt: timeOr(of.CreatedAt, w.now)}
	if v.InviteID == "" {
		v.InviteID = inviteID(hash)
	}
	return v, hash
}

func timeOr(at *time.Time, other time.Time) time.Time {
	if at == nil {
		return other
	}
	return *at
}
