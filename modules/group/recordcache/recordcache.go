// Package recordcache puts a cache in front of a [group.Repository]. The result is a
// [Repository], made with [New].
package recordcache

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// Cache keeps encoded records by revision. cache.Cache implements it.
type Cache interface {
	Get(ctx context.Context, key string, atLeast int64, load func(context.Context) (cache.Entry, error)) (cache.Entry, error)
	Invalidate(ctx context.Context, key string, revision int64)
}

// Fresh is the part of a group that is never cached, because it decides permissions or
// changes with every event.
type Fresh struct {
	Version      int64
	Revision     int64
	MemberCount  int
	Visibility   group.Visibility
	Posting      group.Posting
	ReadReceipts bool
	UpdatedAt    time.Time
	Member       *group.Member // the user's membership; nil if there is none
}

// FreshReader reads the part of a group that is never cached. sqlstore.Store implements it.
type FreshReader interface {
	// Fresh returns that part of a group, and a user's membership, at one moment. It
	// returns fault.ErrNotFound for an unknown or deleted group.
	Fresh(ctx context.Context, groupID, userID string) (Fresh, error)
}

// Repository is a [group.Repository] that reads the records of groups, which are most of
// the bytes, from a cache, and the rest from the database. It reads a record's revision
// from the database first, so it never returns an outdated record. It is safe for
// concurrent use.
type Repository struct {
	group.Repository
	fresh   FreshReader
	records Cache
}

var _ group.Repository = (*Repository)(nil)

// New returns a Repository that puts the cache records in front of repo.
func New(repo group.Repository, fresh FreshReader, records Cache) *Repository {
	return &Repository{Repository: repo, fresh: fresh, records: records}
}

func recordKey(groupID string) string { return "group:" + groupID }

// Group implements [group.Repository].
func (r *Repository) Group(ctx context.Context, groupID, userID string) (group.Group, *group.Member, error) {
	fresh, err := r.fresh.Fresh(ctx, groupID, userID)
	if err != nil {
		return group.Group{}, nil, err
	}
	entry, err := r.records.Get(ctx, recordKey(groupID), fresh.Revision, func(ctx context.Context) (cache.Entry, error) {
		g, _, err := r.Repository.Group(ctx, groupID, "")
		if err != nil {
			return cache.Entry{}, err
		}
		data, err := json.Marshal(g)
		return cache.Entry{Revision: g.Revision, Data: data}, err
	})
	if errors.Is(err, context.DeadlineExceeded) { // an error of the cache; package cache knows no faults
		err = fault.ErrUnavailable.WithCause(err)
	}
	if err != nil {
		return group.Group{}, nil, err
	}
	if entry.Revision != fresh.Revision { // the record has changed since Fresh
		return r.Repository.Group(ctx, groupID, userID)
	}
	var g group.Group
	// After a backup was restored, two records may have the same revision. Their times
	// differ.
	if err := json.Unmarshal(entry.Data, &g); err != nil || g.ID != groupID || g.Revision != fresh.Revision || !g.UpdatedAt.Equal(fresh.UpdatedAt) {
		r.records.Invalidate(ctx, recordKey(groupID), fresh.Revision+1)
		return r.Repository.Group(ctx, groupID, userID)
	}
	g.Version, g.MemberCount = fresh.Version, fresh.MemberCount
	g.Visibility, g.Posting, g.ReadReceipts = fresh.Visibility, fresh.Posting, fresh.ReadReceipts
	return g, fresh.Member, nil
}

// Change implements [group.Repository]. It removes a changed record from the cache on all
// nodes.
func (r *Repository) Change(ctx context.Context, groupID, userID string, fn func(tx group.Tx) error) ([]group.Event, error) {
	events, err := r.Repository.Change(ctx, groupID, userID, fn)
	for _, e := range events {
		switch e.Type {
		case group.GroupUpdated, group.OwnerTransferred, group.GroupEnded, group.GroupDeleted:
			r.records.Invalidate(ctx, recordKey(groupID), e.Version)
		default:
		}
	}
	return events, err
}
