package authorize

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/group"
)

// Connect is the event of a question about a socket's handshake. The other events are in
// package group.
const Connect = "connect"

var known = []string{Connect, group.AskCreate, group.AskJoin, group.AskMessage, group.AskSignal}

// Config holds an operator's settings for questions to the application's back end.
type Config struct {
	URL            string   `key:"url" help:"URL of the back end that decides about the actions in authorize.events: https, or http for a loopback address; empty: no back end is asked"`
	Events         []string `key:"events" help:"actions about which the back end is asked: connect, create, join, message, signal"`
	Open           bool     `key:"open" help:"if the back end does not answer, true allows the action and false refuses it"`
	Secret         string   `key:"secret" help:"secret that signs the questions: whsec_ and the base64 of 24 to 64 bytes" secret:"true"`
	PreviousSecret string   `key:"secret.previous" help:"previous secret, during a change: it signs the questions, too" secret:"true"`

	Private bool   // the back end may have a private or loopback address
	Version string // version of Moim, for the header User-Agent
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	if len(c.Events) == 0 {
		c.Events = []string{group.AskCreate, group.AskJoin}
	}
	return c
}

// Validate returns all mistakes. Call it after [Config.WithDefaults].
func (c Config) Validate() error {
	var errs []error
	for i, event := range c.Events {
		switch {
		case !slices.Contains(known, event):
			errs = append(errs, fmt.Errorf("authorize.events: each must be one of %s", strings.Join(known, ", ")))
		case slices.Contains(c.Events[:i], event):
			errs = append(errs, fmt.Errorf("authorize.events: %s is there twice", event))
		}
	}
	if c.PreviousSecret != "" && webhook.CheckSecret(c.PreviousSecret) != nil {
		errs = append(errs, fmt.Errorf("authorize.secret.previous: it %w", webhook.CheckSecret(c.PreviousSecret)))
	}
	if c.URL == "" {
		return errors.Join(errs...)
	}
	if wrong := webhook.CheckURL(c.URL); wrong != "" {
		errs = append(errs, fmt.Errorf("authorize.url: it %s", wrong))
	} else if strings.HasPrefix(c.URL, "http:") && !c.Private {
		errs = append(errs, errors.New("authorize.url: it is a loopback address, where Moim may not send: set hook.private"))
	}
	if err := webhook.CheckSecret(c.Secret); err != nil {
		errs = append(errs, fmt.Errorf("authorize.secret: it %w", err))
	}
	return errors.Join(errs...)
}

// secrets returns the secrets that sign a question.
func (c Config) secrets() []string {
	if c.PreviousSecret != "" {
		return []string{c.Secret, c.PreviousSecret}
	}
	return []string{c.Secret}
}
