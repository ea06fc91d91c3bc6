package hook

import (
	"errors"
	"fmt"
)

// Config holds an operator's settings for hooks, except the list of hooks.
type Config struct {
	Private bool `key:"private" help:"whether hooks and authorize.url may use private and loopback addresses; link-local addresses are never allowed"`
}

// Listed is a hook in the configuration file.
type Listed struct {
	Name   string   `yaml:"name"`
	URL    string   `yaml:"url"`
	Events []string `yaml:"events"`
	Secret string   `yaml:"secret"`
	Since  string   `yaml:"since"` // now or start; empty means now. Used only when the hook is new
}

// ValidateAll returns all mistakes in a list of hooks.
func ValidateAll(list []Listed) error {
	var errs []error
	if len(list) > MaxHooks {
		errs = append(errs, fmt.Errorf("hooks: there are more than %d", MaxHooks))
	}
	seen := make(map[string]bool)
	for i, l := range list {
		at := fmt.Sprintf("hooks[%d]", i)
		if seen[l.Name] {
			errs = append(errs, fmt.Errorf("%s.name: there is another hook of this name", at))
		}
		seen[l.Name] = true
		since := l.Since
		draft := Draft{Name: l.Name, URL: l.URL, Events: l.Events, Secret: &l.Secret, Since: &since}
		if since == "" {
			draft.Since = nil
		}
		for _, f := range draft.mistakes() {
			errs = append(errs, fmt.Errorf("%s.%s: %s", at, f.Field, f.Message))
		}
	}
	return errors.Join(errs...)
}
