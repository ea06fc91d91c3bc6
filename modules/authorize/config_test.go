package authorize

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/webhook"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret()
	for _, tc := range []struct {
		cfg  Config
		want string // part of the error; empty: no error
	}{
		{Config{}, ""},
		{Config{URL: "https://example.org/may", Secret: secret}, ""},
		{Config{URL: "http://127.0.0.1:9000/may", Secret: secret, Private: true}, ""},
		{Config{URL: "https://example.org/may", Secret: secret, PreviousSecret: secret, Events: known}, ""},
		{Config{URL: "http://127.0.0.1:9000/may", Secret: secret}, "set hook.private"},
		{Config{URL: "http://example.org/may", Secret: secret}, "authorize.url: it must begin with https://"},
		{Config{URL: "https://a:b@example.org/may", Secret: secret}, "authorize.url: it must not contain a user"},
		{Config{URL: "https://example.org/may"}, "authorize.secret: it must be whsec_"},
		{Config{URL: "https://example.org/may", Secret: "secret"}, "authorize.secret: it must be whsec_"},
		{Config{PreviousSecret: "secret"}, "authorize.secret.previous: it must be whsec_"},
		{Config{Events: []string{"join", "leave"}}, "authorize.events: each must be one of connect, create, join, message, signal"},
		{Config{Events: []string{"join", "join"}}, "authorize.events: join is there twice"},
	} {
		err := tc.cfg.WithDefaults().Validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: %v, want %q", tc.cfg, err, tc.want)
		}
		if err != nil && tc.cfg.Secret != "" && strings.Contains(err.Error(), tc.cfg.Secret) && tc.cfg.Secret != "secret" {
			t.Errorf("the error quotes the secret: %v", err)
		}
	}
}
