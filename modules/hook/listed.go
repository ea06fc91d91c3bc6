package hook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/audit"
)

// register stores the hooks of the configuration and of the program. It does not delete
// hooks that are missing from the configuration: a node started with the wrong file must
// not lose their positions.
func (d *Dispatcher) register(ctx context.Context) error {
	names := d.named()
	if len(d.listed) == 0 && len(names) == 0 {
		return d.warn(ctx, nil)
	}
	known := make(map[string]bool)
	for _, l := range d.listed {
		known[l.Name] = true
		if err := d.define(ctx, Hook{Name: l.Name, Source: FromFile, URL: l.URL, Events: unique(l.Events), Secret: l.Secret}, l.Since == sinceStart); err != nil {
			return fmt.Errorf("store hook %s of the configuration: %w", l.Name, err)
		}
	}
	for _, name := range names {
		if wrong := checkName(name); wrong != "" {
			return fmt.Errorf("the name of hook %q of the program %s", name, wrong)
		}
		if err := d.define(ctx, Hook{Name: name, Source: FromProgram, Events: d.chosen(name), Secret: webhook.NewSecret()}, false); err != nil {
			return fmt.Errorf("store hook %s of the program: %w", name, err)
		}
	}
	return d.warn(ctx, known)
}

// named returns the names of the program's hooks.
func (d *Dispatcher) named() []string {
	names := maps.Clone(d.functions)
	if names == nil {
		names = make(map[string]Func)
	}
	for name := range d.presenceFunctions {
		names[name] = nil
	}
	return slices.Sorted(maps.Keys(names))
}

// chosen returns the patterns of one of the program's hooks.
func (d *Dispatcher) chosen(name string) (patterns []string) {
	if d.functions[name] != nil {
		patterns = append(patterns, "*")
	}
	if d.presenceFunctions[name] != nil {
		patterns = append(patterns, presencePrefix+"*")
	}
	return patterns
}

// define creates a hook, or updates it to match h.
func (d *Dispatcher) define(ctx context.Context, h Hook, fromStart bool) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	h.ID = id.String()
	_, err = d.definitions.Create(ctx, h, fromStart)
	if !errors.Is(err, ErrExists) {
		return err
	}
	if h.Source == FromProgram {
		same, err := d.same(ctx, h)
		if same || err != nil {
			return err
		}
	}
	_, err = d.definitions.Change(ctx, h.Name, func(was *Hook) ([]audit.Entry, error) {
		if was.Source != h.Source {
			return nil, errTaken
		}
		was.URL, was.Events = h.URL, h.Events
		if h.Source != FromProgram {
			was.setSecret(h.Secret)
		}
		return nil, nil
	})
	return err
}

var errTaken = errors.New("there is a hook of this name that was not made there: choose another name, or delete it with DELETE /v1/hooks/{name}")

// same reports whether the program's hook is already stored with these patterns. Usually it
// is, and the starting node need not write.
func (d *Dispatcher) same(ctx context.Context, h Hook) (bool, error) {
	hooks, err := d.definitions.Hooks(ctx)
	return slices.ContainsFunc(hooks, func(other Hook) bool {
		return other.Name == h.Name && other.Source == h.Source && slices.Equal(other.Events, h.Events)
	}), err
}

// warn logs the hooks that were in an earlier configuration but are not in this one.
func (d *Dispatcher) warn(ctx context.Context, known map[string]bool) error {
	hooks, err := d.definitions.Hooks(ctx)
	for _, h := range hooks {
		if h.Source == FromFile && !known[h.Name] {
			d.log.WarnContext(ctx, "hook: a hook of an earlier configuration file is still active; to end it, delete it with DELETE /v1/hooks/{name}", "hook", h.Name)
		}
	}
	return err
}

// setSecret replaces the secret. The previous one also signs for a while.
func (h *Hook) setSecret(secret string) {
	if secret != h.Secret {
		h.Secret, h.Before = secret, h.Secret
	}
}
