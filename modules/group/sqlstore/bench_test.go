package sqlstore_test

import (
	"math"
	"strconv"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// BenchmarkChange measures posts from one caller, from 64 callers to 64 groups, and from 64
// callers to one group.
func BenchmarkChange(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkChange(b, sqlstore.New(servicetest.OpenDatabase(b, ""))) })
	b.Run("postgres", func(b *testing.B) {
		server := pgtest.Start(b, "fsync = on", "full_page_writes = on")
		benchmarkChange(b, sqlstore.New(servicetest.OpenDatabase(b, server.NewDatabase(b))))
	})
}

func benchmarkChange(b *testing.B, s grouptest.Store) {
	b.Helper()
	for _, c := range []struct{ writers, groups int }{{1, 1}, {64, 64}, {64, 1}} {
		b.Run(strconv.Itoa(c.writers)+"-writers-"+strconv.Itoa(c.groups)+"-groups", func(b *testing.B) {
			ids := make([]string, c.groups)
			for i := range ids {
				ids[i] = create(b, s)
			}
			work := make(chan struct{})
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for w := range c.writers {
				all.Go(func() {
					for range work {
						if _, err := s.Change(b.Context(), ids[w%c.groups], "", post(b.Context())); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			all.Wait()
		})
	}
}

// BenchmarkRead measures three kinds of reads: the group, 20 events and one membership; the
// group and 1 to 100 memberships; and only memberships.
func BenchmarkRead(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkRead(b, sqlstore.New(servicetest.OpenDatabase(b, ""))) })
	b.Run("postgres", func(b *testing.B) {
		server := pgtest.Start(b, "fsync = on", "full_page_writes = on")
		benchmarkRead(b, sqlstore.New(servicetest.OpenDatabase(b, server.NewDatabase(b))))
	})
}

func benchmarkRead(b *testing.B, s grouptest.Store) {
	b.Helper()
	id := create(b, s)
	for range 100 {
		if _, err := s.Change(b.Context(), id, "", post(b.Context())); err != nil {
			b.Fatal(err)
		}
	}
	members := make([]string, 100)
	for i := range members {
		members[i] = "user-" + strconv.Itoa(i)
	}
	join(b, s, id, members)
	read := func(name string, since int64, limit int, users ...string) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Read(b.Context(), id, since, limit, users); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	read("20-events", 81, 1000, "alice")
	for _, n := range []int{1, 2, 10, 100} {
		read(strconv.Itoa(n)+"-members", math.MaxInt64, 0, members[:n]...)
	}
	b.Run("memberships-of-10", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Memberships(b.Context(), id, members[:10]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func join(b *testing.B, s grouptest.Store, groupID string, users []string) {
	b.Helper()
	_, err := s.Change(b.Context(), groupID, "", func(tx group.Tx) error {
		for _, user := range users {
			if err := tx.AddMember(b.Context(), group.Member{UserID: user, Role: group.MemberRole}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
