package sqlhooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/hook"
)

// Hooks implements [hook.Definitions].
func (s *Store) Hooks(ctx context.Context) (found []hook.Hook, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) (err error) {
		found, err = readHooks(ctx, q)
		return err
	})
	return found, doing(err, "read the hooks")
}

func readHooks(ctx context.Context, q database.Querier) (found []hook.Hook, err error) {
	found = []hook.Hook{}
	err = each(ctx, q, func(scan scanner) error {
		h, err := scanHook(scan)
		found = append(found, h)
		return err
	}, hooks)
	return found, err
}

func scanHook(scan scanner) (h hook.Hook, err error) {
	var (
		events                         string
		rotated, since, created, moved int64
	)
	err = scan(&h.ID, &h.Name, &h.Source, &h.URL, &events, &h.Secret, &h.Before, &rotated, &since, &h.Enabled, &h.Problem, &created, &moved)
	if err != nil {
		return h, err
	}
	h.Rotated, h.CreatedAt, h.UpdatedAt = instant(rotated), instant(created), instant(moved)
	if since > 0 {
		h.Since = instant(since)
	}
	if err := json.Unmarshal([]byte(events), &h.Events); err != nil {
		return h, fmt.Errorf("decode the events of hook %s: %w", h.Name, err)
	}
	return h, nil
}

// Create implements [hook.Definitions].
func (s *Store) Create(ctx context.Context, h hook.Hook, fromStart bool, entries ...audit.Entry) (created hook.Hook, err error) {
	events, err := list(h.Events)
	if err != nil {
		return created, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		if s.sql.lock != "" {
			if _, err := q.ExecContext(ctx, s.sql.lock); err != nil {
				return err
			}
		}
		there, err := readHooks(ctx, q)
		if err != nil {
			return err
		}
		for _, other := range there {
			if other.Name == h.Name {
				return hook.ErrExists
			}
		}
		if len(there) >= hook.MaxHooks {
			return hook.ErrTooMany
		}
		presence := hook.WantsPresence(h.Events)
		if err := s.choose(ctx, q, h.ID, false, presence); err != nil {
			return err
		}
		created, err = scanHook(q.QueryRowContext(ctx, s.sql.insert, h.ID, h.Name, string(h.Source), h.URL, events, h.Secret, fromStart, presence).Scan)
		if err != nil {
			return err
		}
		return sqlaudit.Insert(ctx, q, entries...)
	})
	return created, doing(err, "create a hook")
}

// Change implements [hook.Definitions].
func (s *Store) Change(ctx context.Context, name string, fn func(*hook.Hook) ([]audit.Entry, error)) (changed hook.Hook, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		h, err := scanHook(q.QueryRowContext(ctx, s.sql.byName, name).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		chose := hook.WantsPresence(h.Events)
		entries, err := fn(&h)
		if err != nil {
			return err
		}
		events, err := list(h.Events)
		if err != nil {
			return err
		}
		presence := hook.WantsPresence(h.Events)
		if err := s.choose(ctx, q, h.ID, chose, presence); err != nil {
			return err
		}
		changed, err = scanHook(q.QueryRowContext(ctx, s.sql.change, h.ID, h.URL, events, h.Secret, h.Before, h.Enabled, h.Problem, presence).Scan)
		if err != nil {
			return err
		}
		return sqlaudit.Insert(ctx, q, entries...)
	})
	return changed, doing(err, "change a hook")
}

// Delete implements [hook.Definitions]. [Store.Sweep] removes the hook's positions later.
func (s *Store) Delete(ctx context.Context, name string, entries ...audit.Entry) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		h, err := scanHook(q.QueryRowContext(ctx, s.sql.byName, name).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := s.choose(ctx, q, h.ID, hook.WantsPresence(h.Events), false); err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, s.sql.remove, name); err != nil {
			return err
		}
		return sqlaudit.Insert(ctx, q, entries...)
	})
	return doing(err, "delete a hook")
}

// choose updates the presence kept for a hook when it chooses presence, or does not any
// more. If no other hook has chosen presence, all of it is removed, because a hook begins
// with changes from then on.
func (s *Store) choose(ctx context.Context, q database.Querier, hookID string, before, now bool) error {
	if before == now {
		return nil
	}
	if s.db.Dialect() == database.Postgres { // no other node may store presence meanwhile
		if _, err := q.ExecContext(ctx, lockPresence); err != nil {
			return err
		}
	}
	var others int
	if err := q.QueryRowContext(ctx, otherPresence, hookID).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		_, err := q.ExecContext(ctx, endPresence, hookID)
		return err
	}
	for _, text := range wipe {
		if _, err := q.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// Pause implements [hook.Spreader].
func (s *Store) Pause(ctx context.Context, hookID string, d time.Duration) error {
	_, err := s.exec(ctx, "pause a hook", s.sql.pause, hookID, d.Microseconds())
	return err
}

// Disable implements [hook.Spreader].
func (s *Store) Disable(ctx context.Context, hookID, problem string) error {
	_, err := s.exec(ctx, "disable a hook", s.sql.disable, hookID, problem)
	return err
}
