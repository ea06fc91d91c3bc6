package dto

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

// TestMergePatch runs the examples of RFC 7396, appendix A, and checks that numbers keep
// all their digits.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{``, `{"n":12345678901234567890.10, "h":"<&>"}`, `{"h":"<&>","n":12345678901234567890.10}`},
	} {
		if got := newPatch("attributes", json.RawMessage(c.patch), 0).merge(json.RawMessage(c.target)); string(got) != c.want {
			t.Errorf("%s patched with %s: %s; want %s", c.target, c.patch, got, c.want)
		}
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":null,"c":[{}]}}`)
	f.Add(`[]`, `{"a":null}`)
	f.Fuzz(func(t *testing.T, target, patch string) {
		if !json.Valid([]byte(target)) || !json.Valid([]byte(patch)) {
			return
		}
		parsed := newPatch("attributes", json.RawMessage(patch), 0)
		once := parsed.merge(json.RawMessage(target))
		if !json.Valid(once) {
			t.Fatalf("not JSON: %q", once)
		}
		if twice := parsed.merge(once); !sameJSON(once, twice) {
			t.Fatalf("patching again changes %s to %s", once, twice)
		}
	})
}

// deepPatch returns a string below the given number of nested objects.
func deepPatch(levels, leaf int) json.RawMessage {
	return json.RawMessage(strings.Repeat(`{"a":`, levels) + `"` + strings.Repeat("x", leaf) + `"` + strings.Repeat("}", levels))
}

// TestAPatchTakesMemoryInProportion checks that a nested value is not copied again for each
// level around it.
func TestAPatchTakesMemoryInProportion(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	target := deepPatch(maxDepth, 10_000)
	patch := deepPatch(maxDepth, 60_000)
	cost := allocated(func() { newPatch("attributes", patch, 0).merge(target) })
	if limit := 4*(len(target)+len(patch)) + maxDepth<<10; cost > limit {
		t.Errorf("patching %d bytes with %d bytes took %d bytes of memory, want at most %d", len(target), len(patch), cost, limit)
	}
}

func TestAPatchIsRefusedBeforeItIsParsed(t *testing.T) {
	t.Parallel()
	wide := json.RawMessage(`{"a":"` + strings.Repeat("x", 4*maxAttributes) + `"}`)
	for name, c := range map[string]struct {
		patch json.RawMessage
		want  string
	}{
		"1,000 levels": {deepPatch(1000, 1), "must be at most 64 levels deep"},
		"65 levels":    {deepPatch(maxDepth+1, 1), "must be at most 64 levels deep"},
		"64 levels":    {deepPatch(maxDepth, 1), ""},
		"too large":    {wide, "must be at most 65536 bytes of JSON"},
		"deep, large":  {deepPatch(1000, 900_000), "must be at most 65536 bytes of JSON"},
		"space":        {json.RawMessage(`{` + strings.Repeat(" ", 5*maxAttributes) + `}`), ""},
		"null":         {json.RawMessage("null"), ""},
	} {
		var got []string
		if _, err := (UpdateRequest{Attributes: c.patch}).Validate(100, time.Now()); err != nil {
			for _, f := range fault.From(err).Fields {
				got = append(got, f.Message)
			}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := (UpdateMemberRequest{Attributes: json.RawMessage(`{"a":"` + strings.Repeat("x", 4*maxMemberAttributes) + `"}`)}).Validate(); err == nil {
		t.Error("a member's patch has no bound")
	}
}

// TestAPatchCanBeAppliedAgain checks that applying a patch does not change it. A
// transaction may run more than once.
func TestAPatchCanBeAppliedAgain(t *testing.T) {
	t.Parallel()
	patch := newPatch("attributes", json.RawMessage(`{"a":{"b":{"c":1,"d":null}},"e":[{"f":1}]}`), 0)
	for target, want := range map[string]string{
		`{}`:                              `{"a":{"b":{"c":1}},"e":[{"f":1}]}`,
		`{"a":{"b":{"d":2,"x":3}}}`:       `{"a":{"b":{"c":1,"x":3}},"e":[{"f":1}]}`,
		`{"a":{"b":{"d":2},"y":4},"z":5}`: `{"a":{"b":{"c":1},"y":4},"e":[{"f":1}],"z":5}`,
	} {
		for range 2 {
			if got := string(patch.merge(json.RawMessage(target))); got != want {
				t.Errorf("%s became %s, want %s", target, got, want)
			}
		}
	}
}

// BenchmarkMergePatch measures deep patches with growing strings and growing numbers of
// fields. The cost of a byte must not grow with either.
func BenchmarkMergePatch(b *testing.B) {
	for name, grow := range map[string]func(times int) json.RawMessage{
		"deep": func(times int) json.RawMessage { return deepPatch(maxDepth, 600*times) },
		"wide": func(times int) json.RawMessage { return unknownFields(60 * times) },
	} {
		for _, times := range []int{1, 10, 100} {
			patch, target := grow(times), grow(times)
			b.Run(fmt.Sprintf("%s/%dx", name, times), func(b *testing.B) {
				b.SetBytes(int64(len(patch) + len(target)))
				b.ReportAllocs()
				for b.Loop() {
					newPatch("attributes", patch, 0).merge(target)
				}
			})
		}
	}
}
