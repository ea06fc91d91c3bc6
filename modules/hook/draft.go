package hook

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/fault"
)

// Draft is a hook in a request.
type Draft struct {
	Name   string   `json:"name" doc:"lower-case letters, digits and hyphens, at most 63" example:"billing"`
	URL    string   `json:"url" doc:"https, or http for a loopback address"`
	Events []string `json:"events" doc:"types of events such as member.joined, kinds such as member.*, or * for all in the logs; presence.online, presence.offline or presence.* for presence"`
	Secret *string  `json:"secret,omitempty" doc:"whsec_ and the base64 of 24 to 64 bytes; absent: Moim makes one"`
	Since  *string  `json:"since,omitempty" enum:"now,start" doc:"which events the hook begins with: those from now on (default), or all that the logs hold"`

	reading
}

// Patch changes a hook. Absent fields stay unchanged.
type Patch struct {
	URL     *string  `json:"url,omitempty"`
	Events  []string `json:"events,omitempty"`
	Secret  *string  `json:"secret,omitempty" doc:"signs from now on; the previous secret also signs for 24 hours"`
	Rotate  bool     `json:"rotate,omitempty" doc:"true: Moim makes a new secret, as if you had sent one in secret"`
	Enabled *bool    `json:"enabled,omitempty"`

	reading
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

const nameRule = "must be lower-case letters, digits and hyphens, at most 63, and begin with no hyphen"

const (
	sinceNow   = "now"
	sinceStart = "start"
)

func (d Draft) mistakes() []fault.Field {
	list := slices.Clone(d.wrong)
	list.add("name", checkName(d.Name))
	list.add("url", webhook.CheckURL(d.URL))
	list.events(d.Events)
	if d.Secret != nil {
		list.secret(*d.Secret)
	}
	if d.Since != nil && *d.Since != sinceNow && *d.Since != sinceStart {
		list.add("since", "must be now or start")
	}
	return list
}

func (p Patch) mistakes() []fault.Field {
	list := slices.Clone(p.wrong)
	if p.URL != nil {
		list.add("url", webhook.CheckURL(*p.URL))
	}
	if p.Events != nil {
		list.events(p.Events)
	}
	if p.Secret != nil {
		list.secret(*p.Secret)
		if p.Rotate {
			list.add("rotate", "makes a secret, so send none")
		}
	}
	return list
}

type mistakes []fault.Field

// add adds a mistake, unless the field has one already.
func (m *mistakes) add(field, message string) {
	if message != "" && !slices.ContainsFunc(*m, func(f fault.Field) bool { return f.Field == field }) {
		*m = append(*m, fault.Field{Field: field, Message: message})
	}
}

func (m *mistakes) events(patterns []string) {
	if len(patterns) == 0 || len(patterns) > maxPatterns {
		m.add("events", fmt.Sprintf("must be a list of 1 to %d types of events", maxPatterns))
		return
	}
	for i, p := range patterns {
		m.add(fmt.Sprintf("events.%d", i), checkPattern(p))
	}
}

func (m *mistakes) secret(secret string) {
	if err := webhook.CheckSecret(secret); err != nil {
		m.add("secret", err.Error())
	}
}

func checkName(name string) string {
	if validName.MatchString(name) {
		return ""
	}
	return nameRule
}

// check returns the mistakes as an error.
func check(list []fault.Field) error {
	if len(list) == 0 {
		return nil
	}
	return fault.Validation(list...)
}

// unique returns patterns without duplicates.
func unique(patterns []string) []string {
	patterns = slices.Clone(patterns)
	slices.Sort(patterns)
	return slices.Compact(patterns)
}
