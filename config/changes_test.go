package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moim-live/moim/config"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	before := config.Config{}
	after := config.Config{}
	after.HTTP.Addr, after.Log.Level, after.HTTP.Origins = "127.0.0.1:8080", "debug", []string{"https://a.example.com"}
	if got := before.Changes(after); !slices.Equal(got, []string{"http.origins", "log.level"}) {
		t.Error(got)
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ metrics, debug, want string }{
		{"", "", ""},
		{"0.0.0.0:9100", "127.0.0.1:6060", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{"9100", "", "metrics.addr"},
		{"127.0.0.1:8080", "", "http.addr"},
		{"127.0.0.1:9100", "127.0.0.1:9100", "metrics.addr"},
		{"", "0.0.0.0:6060", "debug.public"},
		{"", ":6060", "debug.public"},
	} {
		cfg := config.Config{}
		cfg.Metrics.Addr, cfg.Debug.Addr = c.metrics, c.debug
		err := cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q and %q: %v, want %q", c.metrics, c.debug, err, c.want)
		}
		if cfg.Debug.Public = true; c.want == "debug.public" && cfg.Validate() != nil {
			t.Errorf("%q with debug.public: %v", c.debug, cfg.Validate())
		}
	}
}
