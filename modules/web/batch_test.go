package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/web"
)

// TestAStreamInABatchIsBounded makes a call with a streamed answer in a batch, first with too
// little room and then with enough.
func TestAStreamInABatchIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	web.Register(s.api, huma.Operation{Method: "GET", Path: web.Prefix + "/stream"},
		func(context.Context, *none) (*huma.StreamResponse, error) {
			return s.api.Stream("application/json", "long.json", func(_ context.Context, w *bufio.Writer) error {
				_, err := w.WriteString(`"` + strings.Repeat("x", 100_000) + `"`)
				return err
			}), nil
		})
	type replies struct{ Body []web.Reply }
	web.Register(s.api, huma.Operation{Method: "POST", Path: web.Prefix + "/calls"},
		func(ctx context.Context, _ *none) (*replies, error) {
			call := web.Call{Method: "GET", Path: "/stream"}
			return &replies{[]web.Reply{s.api.Do(ctx, call, 99_999), s.api.Do(ctx, call, 100_002)}}, nil
		})
	var got []web.Reply
	if answer := s.do("POST", web.Prefix+"/calls", ""); json.Unmarshal([]byte(answer.body), &got) != nil || len(got) != 2 {
		t.Fatalf("%d %.200s", answer.status, answer.body)
	}
	if got[0].Status != 413 || !strings.Contains(string(got[0].Body), "payload_too_large") {
		t.Errorf("too long an answer: %d %.200s", got[0].Status, got[0].Body)
	}
	if got[1].Status != 200 || len(got[1].Body) != 100_002 {
		t.Errorf("an answer that fits: %d, %d bytes", got[1].Status, len(got[1].Body))
	}
	if strings.Contains(s.logs.String(), "broke off") {
		t.Errorf("the log warns of an error that the caller gets:\n%s", s.logs)
	}
}
