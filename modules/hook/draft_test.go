package hook

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/fault"
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

// TestRequestsHaveNoOtherFields checks that unknown fields are refused. If they were
// ignored, a replay with a misspelled "groupId" would replay all groups.
func TestRequestsHaveNoOtherFields(t *testing.T) {
	t.Parallel()
	draft := func(data string) []fault.Field {
		var d Draft
		if err := json.Unmarshal([]byte(data), &d); err != nil {
			t.Fatal(err)
		}
		return d.mistakes()
	}
	patch := func(data string) []fault.Field {
		var p Patch
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			t.Fatal(err)
		}
		return p.mistakes()
	}
	replay := func(data string) (list []fault.Field) {
		var r ReplayRequest
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.point(); err != nil {
			list = fault.From(err).Fields
		}
		return list
	}
	for _, test := range []struct {
		read func(string) []fault.Field
		data string
		want string
	}{
		{draft, `{"name":"a","url":"https://example.org/","events":["*"],"since":"start"}`, ""},
		{draft, `{"Name":"a","url":"https://example.org/","events":["*"],"typo":1}`, "Name typo name"},
		{draft, `{"name":7,"url":"https://example.org/","events":"*","secret":null}`, "events name"},
		{draft, `[]`, "body name url events"},
		{patch, `{"enabled":false,"rotate":true}`, ""},
		{patch, `{"enable":false,"rotate":1}`, "rotate enable"},
		{replay, `{}`, ""},
		{replay, `{"groupId":"g","since":"40"}`, ""},
		{replay, `{"group":"g","since":"start"}`, "group"},
		{replay, `{"groupID":"g"}`, "groupID"},
	} {
		var got []string
		for _, f := range test.read(test.data) {
			got = append(got, f.Field)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: mistakes in %q, want %q", test.data, got, test.want)
		}
	}
}
