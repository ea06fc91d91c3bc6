package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moim-live/moim/modules/hook"
)

// hooksKey is the key of the list of hooks. It is not a [Key], because only the file can
// contain it.
const hooksKey = "hooks"

// parseHooks parses the list of hooks. Its errors quote no values.
func parseHooks(raw any) ([]hook.Listed, error) {
	items, isList := raw.([]any)
	if raw != nil && !isList {
		return nil, errors.New(": must be a list")
	}
	var (
		hooks []hook.Listed
		errs  []error
	)
	for i, item := range items {
		h, err := parseHook(item)
		if err != nil {
			errs = append(errs, fmt.Errorf("[%d]%w", i, err))
		}
		hooks = append(hooks, h)
	}
	return hooks, errors.Join(errs...)
}

func parseHook(raw any) (h hook.Listed, err error) {
	fields, isMap := raw.(map[string]any)
	if !isMap {
		return h, errors.New(": must have the keys name, url, events and secret")
	}
	texts := map[string]*string{"name": &h.Name, "url": &h.URL, "secret": &h.Secret, "since": &h.Since}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		wrong := error(nil)
		switch into := texts[name]; {
		case into != nil:
			*into, wrong = scalar(fields[name], true)
		case name == "events":
			h.Events, wrong = parseList(fields[name])
		default:
			wrong = errors.New("there is no such key: a hook has name, url, events, secret and since")
		}
		if wrong != nil {
			return h, fmt.Errorf(".%s: %w", name, wrong)
		}
	}
	return h, nil
}

// hookNames returns the names of the hooks for people.
func (c Config) hookNames() string {
	names := make([]string, len(c.Hooks))
	for i, h := range c.Hooks {
		names[i] = h.Name
	}
	return strings.Join(names, ",")
}
