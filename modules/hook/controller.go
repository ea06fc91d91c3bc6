package hook

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/web"
)

// Controller serves hooks over HTTP.
type Controller struct {
	service *Service
	api     *web.API
}

// NewController returns a controller. Call [Controller.Register] to serve it.
func NewController(service *Service) *Controller { return &Controller{service: service} }

// Register adds the operations to api.
func (c *Controller) Register(api *web.API) {
	c.api = api
	const one = "/hooks/{name}"
	web.Register(api, operation(http.MethodGet, "/hooks", "list-hooks", "List the hooks; for back ends only", http.StatusOK), c.list)
	web.Register(api, operation(http.MethodPost, "/hooks", "create-hook", "Send the events of all groups to a URL; for back ends only", http.StatusCreated,
		"409 hook_exists, limit_reached"), c.create)
	web.Register(api, operation(http.MethodPatch, one, "update-hook", "Change, disable or enable a hook; for back ends only", http.StatusOK,
		"404 not_found", "409 hook_configured"), c.change)
	web.Register(api, operation(http.MethodDelete, one, "delete-hook", "Delete a hook and its positions; for back ends only", http.StatusNoContent, "404 not_found"), c.remove)
	web.Register(api, operation(http.MethodGet, one+"/groups", "list-hook-groups",
		"List the groups for which something is left to be sent: parked ones, and those that wait; for back ends only", http.StatusOK, "404 not_found"), c.groups)
	web.Register(api, operation(http.MethodPost, one+"/replay", "replay-hook",
		"Send events again, in the background, or go on in groups that are parked or to be tried later; for back ends only", http.StatusAccepted, "404 not_found"), c.replay)
	web.Register(api, operation(http.MethodPost, one+"/test", "test-hook", "Send a delivery with an event of type hook.test, and wait for the answer; for back ends only",
		http.StatusOK, "404 not_found"), c.test)
}

func operation(method, path, id, summary string, status int, problems ...string) huma.Operation {
	return web.Operation("hooks", method, path, id, summary, status, problems...)
}

// View is a hook as back ends get it.
type View struct {
	Name      string     `json:"name"`
	URL       string     `json:"url,omitempty" doc:"absent: a function of the program that embeds Moim"`
	Events    []string   `json:"events"`
	Source    Source     `json:"source" enum:"api,file,program" doc:"who manages it"`
	Enabled   bool       `json:"enabled"`
	Problem   string     `json:"problem,omitempty" doc:"why it is disabled"`
	Secret    string     `json:"secret,omitempty" doc:"only in the answer that made it: keep it"`
	Since     *time.Time `json:"since,omitempty" doc:"the instant from which on events are sent; absent: all"`
	CreatedAt time.Time  `json:"createdAt"`
	UpdatedAt time.Time  `json:"updatedAt"`
}

func viewOf(h Hook, secret string) View {
	v := View{Name: h.Name, URL: h.URL, Events: h.Events, Source: h.Source, Enabled: h.Enabled, Problem: h.Problem, Secret: secret, CreatedAt: h.CreatedAt, UpdatedAt: h.UpdatedAt}
	if !h.Since.IsZero() {
		v.Since = &h.Since
	}
	return v
}

type answer[T any] struct{ Body T }

// OneHook is the hook in a path.
type OneHook struct {
	Name string `path:"name" doc:"name of the hook"`
}

func (c *Controller) list(ctx context.Context, _ *struct{}) (*answer[web.Page[View]], error) {
	hooks, err := c.service.List(ctx, web.Caller(ctx))
	if err != nil {
		return nil, err
	}
	page := web.Page[View]{Items: make([]View, len(hooks))}
	for i, h := range hooks {
		page.Items[i] = viewOf(h, "")
	}
	return &answer[web.Page[View]]{page}, nil
}

func (c *Controller) create(ctx context.Context, in *struct{ Body Draft }) (*answer[View], error) {
	h, err := c.service.Create(ctx, web.Caller(ctx), in.Body)
	if err != nil {
		return nil, err
	}
	return &answer[View]{viewOf(h, h.Secret)}, nil
}

type changeInput struct {
	OneHook
	Body Patch
}

func (c *Controller) change(ctx context.Context, in *changeInput) (*answer[View], error) {
	h, err := c.service.Change(ctx, web.Caller(ctx), in.Name, in.Body)
	if err != nil {
		return nil, err
	}
	return &answer[View]{viewOf(h, h.Secret)}, nil
}

func (c *Controller) remove(ctx context.Context, in *OneHook) (*struct{}, error) {
	return nil, c.service.Delete(ctx, web.Caller(ctx), in.Name)
}

type groupsInput struct {
	OneHook
	web.Paging
}

func (c *Controller) groups(ctx context.Context, in *groupsInput) (*answer[web.Page[Status]], error) {
	kind := "groups of hook " + in.Name
	from, err := c.api.ParseCursor(kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	before, err := ParsePlace(from)
	if err != nil {
		return nil, err
	}
	items, err := c.service.Groups(ctx, web.Caller(ctx), in.Name, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := web.Page[Status]{Items: items}
	if len(items) > in.Limit {
		page.Items = items[:in.Limit]
		page.NextCursor = c.api.Cursor(kind, items[in.Limit-1].Place.String())
	}
	return &answer[web.Page[Status]]{page}, nil
}

type replayInput struct {
	OneHook
	Body *ReplayRequest
}

func (c *Controller) replay(ctx context.Context, in *replayInput) (*answer[struct{}], error) {
	var req ReplayRequest
	if in.Body != nil {
		req = *in.Body
	}
	err := c.service.Replay(ctx, web.Caller(ctx), in.Name, req)
	if err != nil {
		return nil, err
	}
	return &answer[struct{}]{}, nil
}

func (c *Controller) test(ctx context.Context, in *OneHook) (*answer[TestResult], error) {
	result, err := c.service.Test(ctx, web.Caller(ctx), in.Name)
	if err != nil {
		return nil, err
	}
	return &answer[TestResult]{result}, nil
}
