package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/transfer"
)

// read reads the groups of the batch, which are locked already.
func (im *importing) read(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := textList(ids)
	if err != nil {
		return err
	}
	return each(ctx, im.q, im.sql.imports.states, args{list}, func(scan scanner) error {
		var (
			g     imported
			at, n sql.NullInt64
			owner sql.NullBool
		)
		if err := scan(&g.id, &g.owner, &g.version, &g.members, &g.messages, &g.at, &at, &n, &owner); err != nil {
			return err
		}
		g.known, g.hasOwner = at.Valid, !at.Valid || owner.Bool
		g.place = transfer.Place{At: at.Int64, N: n.Int64}
		im.groups[g.id] = &g
		return nil
	})
}

// post writes messages, except those that are already in the log.
func (im *importing) post(ctx context.Context, b transfer.Batch) error {
	var fresh []transfer.NewMessage
	for _, m := range b.Messages {
		g := im.groups[m.GroupID]
		if g == nil {
			continue
		}
		if !g.known {
			if err := im.findPlace(ctx, g); err != nil {
				return err
			}
		}
		if m.Place.Behind(g.place) {
			g.place, g.placed = m.Place, true
			fresh = append(fresh, m)
		}
	}
	there, err := im.posted(ctx, fresh)
	if err != nil {
		return err
	}
	for _, m := range fresh {
		if there[sent(m.GroupID, m.Version, m.Actor, m.Place.At)] {
			continue
		}
		im.event(im.groups[m.GroupID], group.MessagePosted, m.Actor, m.Data, m.Place.At)
		im.written.Messages++
	}
	return nil
}

// findPlace finds the position of the last message of a group that was not imported. So a
// file that was exported from the group adds nothing to it.
func (im *importing) findPlace(ctx context.Context, g *imported) error {
	g.known = true
	return each(ctx, im.q, im.sql.imports.messages, args{g.id}, func(scan scanner) error {
		var at int64
		if err := scan(&at); err != nil {
			return err
		}
		if g.place.N == 0 {
			g.place.At = at
		}
		if at == g.place.At {
			g.place.N++
		}
		return nil
	})
}

// message identifies a message of a log by its content.
type message struct {
	group.Ref
	actor string
	at    int64
}

func sent(groupID string, version int64, actor *string, at int64) message {
	m := message{Ref: group.Ref{GroupID: groupID, Version: version}, at: at}
	if actor != nil {
		m.actor = *actor
	}
	return m
}

// posted returns which of the messages are in the log at the version in the file, possibly
// with other messages.
func (im *importing) posted(ctx context.Context, of []transfer.NewMessage) (map[message]bool, error) {
	var rows []args
	for _, m := range of {
		if m.Version > 0 && m.Version <= im.groups[m.GroupID].version {
			rows = append(rows, args{m.GroupID, m.Version})
		}
	}
	there := make(map[message]bool)
	err := im.sql.imports.posted.split(rows, func(text string, a args) error {
		return each(ctx, im.q, text, a, func(scan scanner) error {
			var (
				groupID     string
				version, at int64
				actor       *string
			)
			err := scan(&groupID, &version, &actor, &at)
			there[sent(groupID, version, actor, at)] = true
			return err
		})
	})
	return there, err
}

// admit writes members, bans and mutes of users that the group did not know.
func (im *importing) admit(ctx context.Context, b transfer.Batch) error {
	fresh, err := im.strangers(ctx, b)
	if err != nil {
		return err
	}
	var bans, mutes []args
	for _, m := range b.Members {
		g, key := im.groups[m.GroupID], pair{m.GroupID, m.UserID}
		switch {
		case g == nil:
			continue
		case m.UserID == g.owner && g.hasOwner, m.UserID != g.owner && !fresh[key]:
			continue
		case m.UserID == g.owner:
			g.hasOwner, g.ownerLine = true, &m.Member
		default:
			fresh[key] = false
			if m.Role == group.Owner { // a former owner
				m.Role = group.Admin
			}
			g.added = append(g.added, m.Member)
		}
		im.written.Members++
		if m.Muted {
			mutes = append(mutes, args{m.GroupID, m.UserID, micros(m.MutedUntil), g.owner, m.JoinedAt.UnixMicro()})
		}
	}
	for _, ban := range b.Bans {
		g, key := im.groups[ban.GroupID], pair{ban.GroupID, ban.UserID}
		if g == nil || !fresh[key] {
			continue
		}
		fresh[key] = false
		if ban.Actor == "" {
			ban.Actor = g.owner
		}
		bans = append(bans, args{ban.GroupID, ban.UserID, ban.Reason, micros(ban.ExpiresAt), ban.Actor, ban.At.UnixMicro()})
		im.written.Bans++
	}
	return im.each(ctx, writes{{im.sql.imports.bans, bans}, {im.sql.imports.mutes, mutes}})
}

// strangers records the users of the batch, and returns those that their group did not
// know.
func (im *importing) strangers(ctx context.Context, b transfer.Batch) (map[pair]bool, error) {
	users := make(map[pair]bool)
	for _, m := range b.Members {
		users[pair{m.GroupID, m.UserID}] = true
	}
	for _, ban := range b.Bans {
		users[pair{ban.GroupID, ban.UserID}] = true
	}
	var rows []args
	for _, p := range slices.SortedFunc(maps.Keys(users), pair.less) {
		if im.groups[p.groupID] != nil {
			rows = append(rows, args{p.groupID, p.userID})
		}
	}
	fresh := make(map[pair]bool)
	err := im.sql.imports.traces.split(rows, func(text string, a args) error {
		return each(ctx, im.q, text, a, func(scan scanner) error {
			var p pair
			err := scan(&p.groupID, &p.userID)
			fresh[p] = true
			return err
		})
	})
	return fresh, err
}

// invite writes invites, and finds invites whose code belongs to another group.
func (im *importing) invite(ctx context.Context, b transfer.Batch) error {
	var rows, codes []args
	for _, i := range b.Invites {
		g := im.groups[i.GroupID]
		if g == nil {
			continue
		}
		var maxUses any
		if i.MaxUses != nil {
			maxUses = int64(*i.MaxUses)
		}
		if i.CreatedBy == "" {
			i.CreatedBy = g.owner
		}
		expires := micros(i.ExpiresAt)
		codes = append(codes, args{i.CodeHash})
		rows = append(rows, args{i.InviteID, i.GroupID, i.CodeHash, maxUses, i.Uses, expires, expires, i.CreatedBy, i.CreatedAt.UnixMicro()})
	}
	err := im.sql.imports.invites.split(rows, func(text string, a args) error {
		ids, err := im.texts(ctx, text, a)
		im.written.Invites += len(ids)
		return err
	})
	if err != nil || im.written.Invites == len(codes) {
		return err
	}
	leadsTo := make(map[string]string)
	err = im.sql.imports.codes.split(codes, func(text string, a args) error {
		return each(ctx, im.q, text, a, func(scan scanner) error {
			var hash, groupID string
			err := scan(&hash, &groupID)
			leadsTo[hash] = groupID
			return err
		})
	})
	for _, i := range b.Invites {
		if to, known := leadsTo[i.CodeHash]; known && to != i.GroupID && im.groups[i.GroupID] != nil {
			im.written.Clashes = append(im.written.Clashes, i)
		}
	}
	return err
}

// flush writes the gathered rows of each group. New members make one event, whose time is
// that of the event before, so that messages imported later keep their times.
func (im *importing) flush(ctx context.Context, _ transfer.Batch) error {
	var members, moves, places, owners, ownersDone, marks []args
	for _, id := range slices.Sorted(maps.Keys(im.groups)) {
		g := im.groups[id]
		if len(g.added) > 0 {
			g.members += len(g.added)
			data, err := json.Marshal(map[string]int{"memberCount": g.members})
			if err != nil {
				return err
			}
			im.event(g, group.GroupUpdated, nil, data, g.at)
		}
		read := mark{g.version, g.messages}
		for _, m := range g.added {
			members = append(members, memberArgs(id, m, read))
		}
		if g.moved {
			moves = append(moves, args{id, g.version, g.members, g.messages})
		}
		if g.placed {
			places = append(places, args{id, g.hasOwner, g.place.At, g.place.N})
		}
		if m := g.ownerLine; m != nil {
			ownersDone = append(ownersDone, args{id})
			owners = append(owners, args{id, m.UserID, m.Name, object(m.Attributes), object(m.Profile), m.JoinedAt.UnixMicro()})
		}
		if g.ownerLine != nil || g.moved && !g.hasOwner { // the owner, like a new member, has read everything
			marks = append(marks, args{id, g.owner, read.version, read.messages})
		}
	}
	slices.SortFunc(members, byUserID)
	return im.each(ctx, writes{
		{im.sql.insertMembers, members},
		{im.sql.insertEvents, im.take()},
		{im.sql.imports.move, moves},
		{im.sql.imports.place, places},
		{im.sql.imports.owner, owners},
		{im.sql.imports.mark, marks},
		{im.sql.imports.ownerDone, ownersDone},
	})
}
