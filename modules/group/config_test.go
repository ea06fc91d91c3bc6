package group

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/limit"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := (Config{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{RetentionBytes: limit.NoSize}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{RetentionBytes: 1 << 10, RetentionAge: 1, LimitOwned: -1, Add: "ask"}.WithDefaults().Validate()
	for _, key := range []string{"group.retention.age", "group.retention.bytes", "group.limit.owned", "group.add"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("want a mistake of %s, got %v", key, err)
		}
	}
}
