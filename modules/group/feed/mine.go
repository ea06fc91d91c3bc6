package feed

import (
	"context"
	"slices"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// tellMine tells users that events changed the list of their groups, on sockets that asked
// for it. A node that dies before this tells nobody: clients also read the list now and then.
func (f *Feed) tellMine(ctx context.Context, items []*item) {
	for _, it := range items {
		users := it.members()
		if len(users) == 0 {
			continue
		}
		data, err := rawjson.Marshal(group.MineNews{GroupID: it.groupID, Type: it.typ})
		if err != nil {
			f.logger.ErrorContext(ctx, "group: cannot encode news of a user's groups", "group", it.groupID, "err", err)
			continue
		}
		for _, userID := range users {
			f.out.CastQueued(ctx, adapter.Envelope{Room: group.MineRoom(userID), Event: group.EventMine, Data: data, Lossy: true})
		}
	}
}

// members returns the users who are members, or were until this event, and whose role or
// membership it changes.
func (it *item) members() []string {
	switch it.typ {
	case group.GroupCreated, group.MemberJoined, group.MemberUpdated, group.MemberLeft, group.MemberRemoved, group.MemberBanned, group.OwnerTransferred:
		u := it.users()
		return slices.DeleteFunc([]string{u.UserID, u.OwnerID, u.From, u.To}, func(userID string) bool { return userID == "" })
	default:
		return nil
	}
}
