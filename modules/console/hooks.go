package console

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// Hook is a webhook.
type Hook struct {
	Name    string
	URL     string // empty for a function of the program
	Events  []string
	Source  string // api, file or program
	Enabled bool
	Problem string // why it is disabled
	Since   time.Time
}

// HookGroup is a group with something left to send to a hook.
type HookGroup struct {
	GroupID   string
	Presence  bool  // changes of presence are left instead of events
	Version   int64 // version of the last event that the receiver has accepted
	Lag       int64 // events or changes
	State     string
	Attempts  int
	NextAt    *time.Time
	LastReply int
	Problem   string
	Place     string // position in the list
}

// Hooks manages webhooks. Package app implements it with hook.Service.
type Hooks interface {
	List(ctx context.Context, caller auth.Identity) ([]Hook, error)
	Groups(ctx context.Context, caller auth.Identity, name, after string, limit int) ([]HookGroup, error)
	Enable(ctx context.Context, caller auth.Identity, name string, enabled bool) error
	// Resume resumes deliveries that have stopped, in one group or in all ("").
	Resume(ctx context.Context, caller auth.Identity, name, groupID string) error
	// Test sends a test delivery, and returns its result.
	Test(ctx context.Context, caller auth.Identity, name string) (result string, err error)
}

// hooks lists the hooks.
func (c *Console) hooks(ctx context.Context, v visit) (any, error) {
	return c.deps.Hooks.List(ctx, v.caller)
}

// hookPage is the data of the view Hook.
type hookPage struct {
	formPage
	Hook   Hook
	Groups table[HookGroup]
}

func (c *Console) hook(ctx context.Context, v visit) (any, error) {
	page := hookPage{formPage: v.forms()}
	hooks, err := c.deps.Hooks.List(ctx, v.caller)
	if err != nil {
		return nil, err
	}
	for _, h := range hooks {
		if h.Name == v.query("name") {
			page.Hook = h
		}
	}
	if page.Hook.Name == "" {
		return nil, fault.ErrNotFound.WithMessage("there is no hook of this name")
	}
	page.Groups, err = list(v, func(g HookGroup) string { return g.Place }, func(after string, limit int) ([]HookGroup, error) {
		return c.deps.Hooks.Groups(ctx, v.caller, page.Hook.Name, after, limit)
	})
	return page, err
}

func (c *Console) enableHook(ctx context.Context, v visit) (outcome, error) {
	return outcome{to: link(v, "", ""), notice: "saved"}, c.deps.Hooks.Enable(ctx, v.caller, v.query("name"), true)
}

func (c *Console) disableHook(ctx context.Context, v visit) (outcome, error) {
	return outcome{to: link(v, "", ""), notice: "saved"}, c.deps.Hooks.Enable(ctx, v.caller, v.query("name"), false)
}

func (c *Console) resumeHook(ctx context.Context, v visit) (outcome, error) {
	return outcome{to: link(v, "", ""), notice: "resumed"}, c.deps.Hooks.Resume(ctx, v.caller, v.query("name"), v.sent("groupId"))
}

func (c *Console) testHook(ctx context.Context, v visit) (outcome, error) {
	result, err := c.deps.Hooks.Test(ctx, v.caller, v.query("name"))
	return outcome{once: result}, err
}
