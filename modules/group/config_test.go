package group

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := (Config{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{RetentionAge: 1, LimitOwned: -1, Add: "ask"}.WithDefaults().Validate()
	for _, key := range []string{"group.retention.age", "group.limit.owned", "group.add"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("want a mistake of %s, got %v", key, err)
		}
	}
}
