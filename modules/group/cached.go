package group

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/fault"
)

// RecordCache keeps encoded records by revision. cache.Cache fulfils it.
type RecordCache interface {
	Get(ctx context.Context, key string, atLeast int64, load func(context.Context) (cache.Entry, error)) (cache.Entry, error)
	Invalidate(ctx context.Context, key string, revision int64)
}

// Fresh is the part of a group that is never cached: it decides permissions, or
// changes with every event.
type Fresh struct {
	Version     int64
	Revision    int64
	MemberCount int
	Visibility  Visibility
	UpdatedAt   time.Time
	Member      *Member // the user's membership; nil: none
}

// FreshReader reads the part of a group that is never cached. sqlstore.Store
// fulfils it.
type FreshReader interface {
	// Fresh returns that part of a group, and a user's membership, as of one
	// moment. It answers fault.ErrNotFound for an unknown or deleted group.
	Fresh(ctx context.Context, groupID, userID string) (Fresh, error)
}

// Cached is a [Repository] whose [Repository.Group] takes the record, which is
// the bulk of it, from a cache, and all that must be fresh from the database.
// The record's revision is read first, so that an older record is never
// answered.
type Cached struct {
	Repository
	fresh   FreshReader
	records RecordCache
}

var _ Repository = (*Cached)(nil)

// NewCached returns repo behind records.
func NewCached(repo Repository, fresh FreshReader, records RecordCache) *Cached {
	return &Cached{Repository: repo, fresh: fresh, records: records}
}

func recordKey(groupID string) string { return "group:" + groupID }

// Group implements [Repository].
func (c *Cached) Group(ctx context.Context, groupID, userID string) (Group, *Member, error) {
	st, err := c.fresh.Fresh(ctx, groupID, userID)
	if err != nil {
		return Group{}, nil, err
	}
	entry, err := c.records.Get(ctx, recordKey(groupID), st.Revision, func(ctx context.Context) (cache.Entry, error) {
		g, _, err := c.Repository.Group(ctx, groupID, "")
		if err != nil {
			return cache.Entry{}, err
		}
		data, err := json.Marshal(g)
		return cache.Entry{Revision: g.Revision, Data: data}, err
	})
	if errors.Is(err, context.DeadlineExceeded) { // by the cache, which knows no faults
		err = fault.ErrUnavailable.WithCause(err)
	}
	if err != nil {
		return Group{}, nil, err
	}
	if entry.Revision != st.Revision {
		return c.Repository.Group(ctx, groupID, userID) // it changed in between
	}
	var g Group
	// The time tells records of one revision apart after a backup was restored.
	if err := json.Unmarshal(entry.Data, &g); err != nil || g.ID != groupID || g.Revision != st.Revision || !g.UpdatedAt.Equal(st.UpdatedAt) {
		c.records.Invalidate(ctx, recordKey(groupID), st.Revision+1)
		return c.Repository.Group(ctx, groupID, userID)
	}
	g.Version, g.MemberCount, g.Visibility = st.Version, st.MemberCount, st.Visibility
	return g, st.Member, nil
}

// Change implements [Repository]: it drops the record that a change made old,
// here and on the other nodes.
func (c *Cached) Change(ctx context.Context, groupID string, fn func(tx Tx) error) ([]Event, error) {
	events, err := c.Repository.Change(ctx, groupID, fn)
	for _, e := range events {
		switch e.Type {
		case GroupUpdated, OwnerTransferred, GroupEnded, GroupDeleted:
			c.records.Invalidate(ctx, recordKey(groupID), e.Version)
		default:
		}
	}
	return events, err
}
