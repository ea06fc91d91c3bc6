package app

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/console"
	"github.com/moim-live/moim/modules/hook"
)

// consoleHooks adapts the hook service for the console, because the two modules do not know
// each other.
type consoleHooks struct{ service *hook.Service }

var _ console.Hooks = consoleHooks{}

func (c consoleHooks) List(ctx context.Context, caller auth.Identity) ([]console.Hook, error) {
	found, err := c.service.List(ctx, caller)
	hooks := make([]console.Hook, 0, len(found))
	for _, h := range found {
		hooks = append(hooks, console.Hook{Name: h.Name, URL: h.URL, Events: h.Events, Source: string(h.Source), Enabled: h.Enabled, Problem: h.Problem, Since: h.Since})
	}
	return hooks, err
}

func (c consoleHooks) Groups(ctx context.Context, caller auth.Identity, name, after string, limit int) ([]console.HookGroup, error) {
	before, err := hook.ParsePlace(after)
	if err != nil {
		return nil, err
	}
	found, err := c.service.Groups(ctx, caller, name, before, limit)
	groups := make([]console.HookGroup, 0, len(found))
	for _, s := range found {
		groups = append(groups, console.HookGroup{
			GroupID: s.GroupID, Presence: s.Presence, Version: s.Version, Lag: s.Lag, State: s.State, Attempts: s.Attempts,
			NextAt: s.NextAt, LastReply: s.LastReply, Problem: s.Problem, Place: s.Place.String(),
		})
	}
	return groups, err
}

func (c consoleHooks) Enable(ctx context.Context, caller auth.Identity, name string, enabled bool) error {
	_, err := c.service.Change(ctx, caller, name, hook.Patch{Enabled: &enabled})
	return err
}

func (c consoleHooks) Resume(ctx context.Context, caller auth.Identity, name, groupID string) error {
	return c.service.Replay(ctx, caller, name, hook.ReplayRequest{GroupID: groupID})
}

func (c consoleHooks) Test(ctx context.Context, caller auth.Identity, name string) (string, error) {
	result, err := c.service.Test(ctx, caller, name)
	switch {
	case err != nil:
		return "", err
	case result.Accepted:
		return fmt.Sprintf("The receiver accepted the test in %d ms.", result.Milliseconds), nil
	default:
		return fmt.Sprintf("The test failed after %d ms: %s.", result.Milliseconds, result.Problem), nil
	}
}
