package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// calls returns the calls that TestGrow measures.
func calls(g *grown) []call {
	added := make([]string, g.added)
	for i := range added {
		added[i] = fmt.Sprintf("added-%d", i+1)
	}
	follow := make([]string, 1000)
	for i := range follow {
		follow[i] = fmt.Sprintf("c-%d", 10_000_001+i)
	}
	mid := int64(g.events / 2)
	list := []call{
		{name: "join, a user in 1 group", do: joining(g.ids[0], "owner-1"), undo: leaving(g.ids[0], "owner-1")},
		{name: fmt.Sprintf("join, a user in %d groups", g.joined), do: joining(g.ids[0], "many"), undo: leaving(g.ids[0], "many")},
		{name: "join, the crowd", do: joining(g.crowd, "owner-1"), undo: leaving(g.crowd, "owner-1")},
		{name: "leave", do: leaving(g.ids[1], "added-7"), undo: joining(g.ids[1], "added-7")},
		{name: "create, a user in 1 group", do: creating("owner-2")},
		{name: fmt.Sprintf("create, a user in %d groups", g.joined), do: creating("many")},
		{name: fmt.Sprintf("add %d members who are in 50 groups", g.added), do: joining("c-10000001", added...), undo: leaving("c-10000001", added...)},
		{name: "post a message", do: posting(g.ids[0])},
		{name: "post a message to the long log", do: posting(g.log)},
		{name: "several events", do: several(g.ids[0])},
		{name: "transfer", do: transferring(g.ids[3])},
		{name: "my groups, of many", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			mine, err := s.UserGroups(ctx, "many", "", 50)
			return want(len(mine), 50, err)
		}},
		{name: "my groups, from the middle", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.UserGroups(ctx, "many", fmt.Sprintf("c-%d", 10_000_000+g.joined/2), 50)
			return err
		}},
		{name: "the number of a user's groups", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, _, err := s.CountUserGroups(ctx, "many")
			return err
		}},
		{name: "read a group", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, _, err := s.Group(ctx, g.ids[0], "alice")
			return err
		}},
		{name: "read the uncached part of a group", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Fresh(ctx, g.ids[0], "alice")
			return err
		}},
		{name: "members of the crowd, from the middle", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			members, _, err := s.Members(ctx, g.crowd, "in-5", 50)
			return want(len(members), 50, err)
		}},
		{name: "subscribe to the long log", do: reading(g.log, mid, 0, "alice")},
		{name: "subscribe, 10 at once", do: reading(g.crowd, 0, 100, added[:10]...)},
		{name: "100 events of the long log", do: reading(g.log, mid, 100)},
		{name: "memberships of 10 in the crowd", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Memberships(ctx, g.crowd, added[:10])
			return err
		}},
		{name: "mark as read in the long log", do: func(ctx context.Context, s *sqlstore.Store, i int) error {
			_, err := s.MarkRead(ctx, g.ids[0], "alice", int64(i+2))
			return err
		}},
		{name: "silence check, all that moved", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Heads(ctx, 12*time.Second, nil)
			return err
		}},
		{name: "silence check, of 10 groups", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Heads(ctx, 12*time.Second, follow[:10])
			return err
		}},
		{name: "silence check, of 1,000 groups", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Heads(ctx, 12*time.Second, follow)
			return err
		}},
		{name: "relay 100 events", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Relay(ctx, time.Second, 100, func(group.Event) error { return errRefuse })
			return err
		}},
		{name: "mark an event as published", do: func(ctx context.Context, s *sqlstore.Store, i int) error {
			return s.Published(ctx, []group.Ref{{GroupID: g.log, Version: int64(i)}})
		}},
		{name: "due timers", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Due(ctx, 100)
			return err
		}},
		{name: "list timers", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Timers(ctx, "", 50)
			return err
		}},
		{name: "expire", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Expire(ctx, 2000)
			return err
		}},
		{name: "sweep, once after the fill", do: func(ctx context.Context, s *sqlstore.Store, i int) error {
			if i > 0 {
				return nil
			}
			for more := true; more; {
				var err error
				if more, err = s.Trim(ctx, maxKeep, 200); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: fmt.Sprintf("sweep beside %d groups deleted lately", g.joined), do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Trim(ctx, maxKeep, 200)
			return err
		}},
	}
	list = append(list, lists(g)...)
	for _, query := range searches {
		list = append(list, call{name: "search: " + query, do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.PublicGroups(ctx, query, "", 50)
			return err
		}})
	}
	list = append(list, call{name: "public groups", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
		found, err := s.PublicGroups(ctx, "", "", 50)
		return want(len(found), 50, err)
	}})
	next := 0
	return append(list, call{name: fmt.Sprintf("delete a group with %d members", g.added+1), do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
		id := g.ids[5+next%40]
		next++
		if next > 40 {
			return nil // all groups are deleted
		}
		_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
			_, err := tx.Append(ctx, group.GroupDeleted, "alice", struct{}{})
			return errors.Join(err, tx.Delete(ctx))
		})
		return err
	}})
}

// lists returns the calls that list a group's records, except its members.
func lists(g *grown) []call {
	now := time.Now()
	return []call{
		{name: "bans", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Bans(ctx, "c-10000001", "", now, 50)
			return err
		}},
		{name: "list of mutes", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Mutes(ctx, "c-10000001", "", now, 50)
			return err
		}},
		{name: "messages of the long log, from the middle", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			messages, err := s.Messages(ctx, g.log, int64(g.events/2), 50)
			return want(len(messages), 50, err)
		}},
		{name: "messages of a small log", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			messages, err := s.Messages(ctx, "c-10000001", math.MaxInt64, 50)
			return want(len(messages), 1, err)
		}},
		{name: "edit a message of the long log", do: func(ctx context.Context, s *sqlstore.Store, i int) error {
			_, err := s.Change(ctx, g.log, "", func(tx group.Tx) error {
				_, err := tx.Event(ctx, int64(i+1))
				return errors.Join(err, tx.SetData(ctx, int64(i+1), json.RawMessage(`{"text":"edited"}`)))
			})
			return err
		}},
		{name: "mutes", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Change(ctx, "c-10000001", "", func(tx group.Tx) error {
				_, err := tx.Mute(ctx, "muted-1")
				_, err1 := tx.CountMutes(ctx, 10_000)
				return errors.Join(err, err1, tx.SetMute(ctx, group.Mute{UserID: "muted-1"}), tx.RemoveMute(ctx, "nobody"))
			})
			return err
		}},
		{name: "requests", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Applicants(ctx, "c-10000001", "", 50)
			return err
		}},
		{name: "requests of a user", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			found, err := s.UserRequests(ctx, "asks-1", "", 50)
			return want(len(found), 1, err)
		}},
		{name: "invites", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Invites(ctx, "c-10000001", "", 50)
			return err
		}},
		{name: "find groups", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			for _, f := range []group.Filter{
				{},
				{Order: group.Active},
				{Deleted: true},
				{OwnerID: "owner-9"},
				{OwnerID: "owner-9", Order: group.Active},
				{OwnerID: "owner-9", Deleted: true},
				{Order: group.Largest},
				{OwnerID: "owner-9", Order: group.Largest},
				{Attributes: map[string]string{"game": "chess"}},
				{Attributes: map[string]string{"game": "chess", "level": "7"}},
				{OwnerID: "owner-9", Attributes: map[string]string{"game": "chess"}},
				{Query: "xyzzy"},
				{Query: "quokka"},
				{Query: "study"},
			} {
				if _, err := s.FindGroups(ctx, f, "", 50); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "rename a user", do: func(ctx context.Context, s *sqlstore.Store, i int) error {
			job := group.Rename{ID: "job", UserID: fmt.Sprintf("owner-%d", i+5), Name: "N"}
			if _, err := s.SetRename(ctx, job); err != nil {
				return err
			}
			_, err := s.ClaimRename(ctx)
			_, unlisted := s.NamedIn(ctx, job.UserID, "", 50)
			_, failed := s.AdvanceRename(ctx, job)
			return errors.Join(err, unlisted, failed, s.FinishRename(ctx, job))
		}},
		{name: "an audited change", do: func(ctx context.Context, s *sqlstore.Store, i int) error {
			e, err := audit.New(ctx, "backend", "update")
			if err != nil {
				return err
			}
			e.GroupID, e.UserID = g.ids[3], "user-1"
			_, err = s.Change(ctx, g.ids[3], "", func(tx group.Tx) error {
				if err := tx.Audit(ctx, e); err != nil {
					return err
				}
				return postOf(ctx)(tx)
			})
			return err
		}},
		{name: "the audit log", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			for _, f := range []audit.Filter{
				{},
				{Actor: "backend"},
				{Target: "c-10000001"},
				{Target: "user-1"},
				{Actor: "backend", Target: "c-10000001"},
				{Actor: "nobody", Target: "user-1", Since: time.UnixMilli(1)},
			} {
				if _, err := s.Entries(ctx, f, "", 51); err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "a step of old audit entries", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.ExpireAudit(ctx, 2000*time.Hour, 500)
			return err
		}},
		{name: "erase a user", do: eraseOne},
		{name: "export a user", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			traces, err := s.UserTraces(ctx, "many", "", 50)
			_, _, _, failed := s.UserMessages(ctx, "many", "", 0, 50)
			return want(len(traces), 50, errors.Join(err, failed))
		}},
		{name: "a receipt", do: func(ctx context.Context, s *sqlstore.Store, _ int) error {
			_, err := s.Receipt(ctx, "many", "a key")
			return err
		}},
	}
}

func want(got, want int, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("%d rows, want %d", got, want)
	}
	return err
}

func posting(groupID string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		_, err := s.Change(ctx, groupID, "", postOf(ctx))
		return err
	}
}

func several(groupID string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
			return errors.Join(postOf(ctx)(tx), postOf(ctx)(tx))
		})
		return err
	}
}

func transferring(groupID string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
			heir := "added-1"
			if tx.Group().OwnerID == heir {
				heir = "alice"
			}
			if err := tx.SetOwner(ctx, heir, time.Now()); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.OwnerTransferred, heir, struct{}{})
			return err
		})
		return err
	}
}

func reading(groupID string, since int64, limit int, users ...string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		_, err := s.Read(ctx, groupID, since, limit, users)
		return err
	}
}
