package transfer

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Check reads the whole file and returns its mistakes. It writes nothing.
func (i *Importer) Check(ctx context.Context) (Report, error) {
	i.report, i.hash = Report{}, ""
	clear(i.groups)
	var some []*line
	size := 0
	err := i.each(ctx, "checked", func(l *line) error {
		some, size = append(some, l), size+l.size
		if len(some) < i.most && size < batchBytes {
			return nil
		}
		err := i.checkSome(ctx, some)
		some, size = nil, 0
		return err
	})
	if err == nil {
		err = i.checkSome(ctx, some)
	}
	for _, g := range i.groups {
		if int(g.messages) > i.cfg.Groups.RetentionCount {
			i.report.Long++
		}
	}
	return i.report, err
}

// checkSome checks consecutive lines.
func (i *Importer) checkSome(ctx context.Context, some []*line) error {
	if err := i.lookUp(ctx, some); err != nil {
		return err
	}
	for _, l := range some {
		i.report.Lines++
		if len(l.mistakes) == 0 || l.group != nil {
			i.checkLine(l)
		}
		for _, m := range l.mistakes {
			if i.report.Wrong++; len(i.report.Mistakes) < maxShown {
				i.report.Mistakes = append(i.report.Mistakes, m)
			}
		}
		switch l.kind {
		case aGroup:
			i.report.Counts.Groups++
		case aMember:
			i.report.Counts.Members++
		case aBan:
			i.report.Counts.Bans++
		case anInvite:
			i.report.Counts.Invites++
		case aMessage:
			i.report.Counts.Messages++
		}
	}
	return nil
}

// lookUp reads the owners of groups that appear in these lines for the first time. In a dry
// run, it also looks for groups that the file itself defines.
func (i *Importer) lookUp(ctx context.Context, some []*line) error {
	here := make(map[uuid.UUID]bool) // groups that these lines define
	asked := make(map[string]bool)
	for _, l := range some {
		if len(l.mistakes) > 0 && l.group == nil {
			continue
		}
		groupID := l.groupID()
		_, known := i.groups[idOf(groupID)]
		if l.group != nil {
			here[idOf(groupID)] = true
		}
		if !known && (i.cfg.Dry || !here[idOf(groupID)]) {
			asked[groupID] = true
		}
	}
	if len(asked) == 0 {
		return nil
	}
	ids := make([]string, 0, len(asked))
	for id := range asked {
		ids = append(ids, id)
	}
	found, err := i.store.Owners(ctx, ids)
	if err != nil {
		return fmt.Errorf("look up groups: %w", err)
	}
	for id := range asked {
		owner, there := found[id]
		switch {
		case there:
			i.groups[idOf(id)] = state{owner: i.ownerOf(owner), there: true}
		case here[idOf(id)]:
			i.groups[idOf(id)] = state{isNew: true}
		}
	}
	return nil
}

// checkLine checks a line against its group.
func (i *Importer) checkLine(l *line) {
	id := idOf(l.groupID())
	g := i.groups[id]
	switch {
	case l.group != nil:
		if !g.named {
			g.named, g.owner = true, i.ownerOf(l.group.OwnerID)
		}
	case !g.named && !g.there:
		l.wrong("groupId", "no line above is this group's, and the database has no such group: put the group's line first")
		return
	case l.member != nil:
		isOwner := g.owner == i.ownerOf(l.member.UserID)
		switch {
		case isOwner && l.member.Role != "" && l.member.Role != "owner":
			l.wrong("role", "this user owns the group: leave role out, or name another owner in the group's line")
		case !isOwner && l.member.Role == "owner":
			l.wrong("role", "must be admin or member: another user owns the group")
		}
	case l.message != nil:
		if g.messages++; !g.place(l) {
			l.wrong("at", "is before the message of this group above it: sort the messages of a group by time")
		}
	}
	i.groups[id] = g
}

// place sets the place of the group's next message. It returns false if the place is not
// behind that of the last message.
func (g *state) place(l *line) bool {
	at := g.last.At
	if l.message.At != nil {
		at = l.message.At.UnixMicro()
	}
	switch {
	case at < g.last.At:
		return false
	case at > g.last.At:
		g.last = Place{At: at}
	}
	g.last.N++
	return true
}
