package hook

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/webhook"
)

func TestSecretsHaveNoLineEnds(t *testing.T) {
	t.Parallel()
	good := webhook.NewSecret()
	for secret, want := range map[string]int{good: 0, good + "\n": 1, good[:20] + strings.Repeat("\r\n", 1000) + good[20:]: 1, "whsec_": 1, "": 1} {
		d := Draft{Name: "billing", URL: "https://example.org/", Events: []string{"*"}, Secret: &secret}
		if found := d.mistakes(); len(found) != want {
			t.Errorf("%.40q: %+v", secret, found)
		}
	}
}

func TestSinceIsBounded(t *testing.T) {
	t.Parallel()
	const groupID = "0198c9d2-8f7e-7cc1-a6b4-1f2e3d4c5b6a"
	for since, good := range map[string]bool{
		"": true, "start": true, "40": true, "2026-03-01T12:00:00.123456789+09:00": true,
		"-1": false, "now": false, strings.Repeat("0", 1000) + "1": false, "2026-03-01T12:00:00." + strings.Repeat("0", 1000) + "Z": false,
	} {
		if _, _, err := (ReplayRequest{GroupID: groupID, Since: since}).point(); (err == nil) != good {
			t.Errorf("%.40q: %v", since, err)
		}
	}
}
