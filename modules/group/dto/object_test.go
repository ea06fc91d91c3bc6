package dto

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

// unknownFields returns a body with n unknown fields.
func unknownFields(n int) []byte {
	var out strings.Builder
	out.WriteString(`{"name":"x"`)
	for i := range n {
		fmt.Fprintf(&out, `,"f%d":0`, i)
	}
	return append([]byte(out.String()), '}')
}

// allocated returns how many bytes fn allocates. No other test may run meanwhile.
func allocated(fn func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestMistakesAreKeptUpToABound(t *testing.T) {
	t.Parallel()
	var r CreateRequest
	if err := r.UnmarshalJSON(unknownFields(9_000)); err != nil {
		t.Fatal(err)
	}
	if n := len(r.mistakes); n != fault.MaxFields+1 {
		t.Errorf("%d mistakes are reported", n)
	}
	_, err := r.Validate(100, time.Now())
	failure := fault.From(err)
	if len(failure.Fields) != fault.MaxFields || failure.Fields[1].Field != "f1" || !strings.Contains(failure.Message, "more") {
		t.Errorf("%s: %v", failure.Message, failure.Fields)
	}
}

// TestReadingABodyTakesMemoryInProportion checks that a body that is 100 times larger takes
// about 100 times the memory. Growing tables may take some more.
func TestReadingABodyTakesMemoryInProportion(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	for name, body := range map[string]func(times int) string{
		"unknown fields": func(times int) string { return string(unknownFields(100 * times)) },
		"one field":      func(times int) string { return "{" + strings.Repeat(`"name":"x",`, 100*times) + `"name":"x"}` },
		"a long name":    func(times int) string { return `{"` + strings.Repeat("x", 1000*times) + `":0}` },
		"a long text":    func(times int) string { return `{"name":"` + strings.Repeat(`\u00e9`, 200*times) + `"}` },
		"a long number":  func(times int) string { return `{"capacity":` + strings.Repeat("9", 1000*times) + `}` },
		"a long list":    func(times int) string { return `{"remindBefore":[` + strings.Repeat("1,", 500*times) + `1]}` },
		"lists in lists": func(times int) string {
			return `{"remindBefore":[` + strings.Repeat("[[]],", 200*times) + `1],"attributes":[` + strings.Repeat("{},", 300*times) + `1]}`
		},
		"a long time": func(times int) string { return `{"endsAt":"` + strings.Repeat("2", 1000*times) + `"}` },
	} {
		cost := func(times int) (input, bytes int) {
			data := []byte(body(times))
			return len(data), allocated(func() {
				var r CreateRequest
				if err := json.Unmarshal(data, &r); err != nil {
					t.Fatal(err)
				}
				_, _ = r.Validate(100, time.Now())
			})
		}
		cost(1)
		small, few := cost(1)
		large, many := cost(100)
		if many > 2*few*large/small {
			t.Errorf("%s: %d bytes take %d bytes of memory, %d bytes take %d", name, small, few, large, many)
		}
	}
}

func TestAListIsRefusedBeforeItIsDecoded(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	for name, c := range map[string]struct {
		read  func(data []byte) mistakes
		limit int
	}{
		"userIds":      {func(data []byte) mistakes { var r AddMembersRequest; _ = r.UnmarshalJSON(data); return r.mistakes }, maxAddedMembers},
		"to":           {func(data []byte) mistakes { var r SignalRequest; _ = r.UnmarshalJSON(data); return r.mistakes }, maxSignalTargets},
		"remindBefore": {func(data []byte) mistakes { var r UpdateRequest; _ = r.UnmarshalJSON(data); return r.mistakes }, maxReminders},
	} {
		data := []byte(`{"` + name + `":[` + strings.Repeat(`"",`, 100_000) + `""]}`)
		var found mistakes
		cost := allocated(func() { found = c.read(data) })
		want := fmt.Sprintf("must have at most %d entries", c.limit)
		if len(found) != 1 || found[0] != (fault.Field{Field: name, Message: want}) {
			t.Errorf("%s: %v", name, found)
		}
		// The body is copied once, or twice with the race detector. Decoding 100,000
		// strings would take 1.6 MB more.
		if cost > 3*len(data) {
			t.Errorf("%s: %d bytes take %d bytes of memory", name, len(data), cost)
		}
	}
}

// FuzzRequests checks that any input gives a valid request or an error of bounded size.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"name":"x","attributes":{"a":[1]}}`, `{"userIds":["a","",1],"to":["a"],"x":{}}`, `{"a":1,"a":2,"\ud800":"\ud800"}`,
		`{"capacity":1e999999,"endsAt":"2026","remindBefore":[1,"2"],"data":0.0}`, "{\"\xff\":1}", `[`, `{"name":"\u0000"}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Add(unknownFields(60))
	f.Fuzz(func(t *testing.T, data []byte) {
		var (
			create CreateRequest
			update UpdateRequest
			add    AddMembersRequest
			post   MessageRequest
			send   SignalRequest
			state  PresenceRequest
		)
		for _, r := range []json.Unmarshaler{&create, &update, &add, &post, &send, &state} {
			if err := r.UnmarshalJSON(data); err != nil {
				t.Fatalf("%T: %v", r, err)
			}
		}
		var errs [6]error
		_, errs[0] = create.Validate(100, time.Now())
		_, errs[1] = update.Validate(100, time.Now())
		_, errs[2] = post.Validate()
		_, errs[3] = send.Validate()
		_, errs[4] = state.Validate()
		_, errs[5] = add.Validate()
		for _, err := range errs {
			if err == nil {
				continue
			}
			failure := fault.From(err)
			answer, err := json.Marshal(failure.Fields)
			if err != nil || failure.Code != "validation_failed" || len(failure.Fields) == 0 || len(answer) > 60<<10 {
				t.Errorf("%s: %s (%v)", failure.Code, answer, err)
			}
		}
	})
}

// BenchmarkBody measures bodies of growing size. The cost of a byte must not grow with the
// size.
func BenchmarkBody(b *testing.B) {
	for name, body := range map[string]func(times int) []byte{
		"unknown": func(times int) []byte { return unknownFields(90 * times) },
		"text": func(times int) []byte {
			return []byte(`{"name":"x","description":"` + strings.Repeat("x", 1000*times) + `"}`)
		},
		"list": func(times int) []byte { return []byte(`{"userIds":[` + strings.Repeat(`"u",`, 200*times) + `"u"]}`) },
		"deep": func(times int) []byte {
			return []byte(`{"attributes":` + strings.Repeat(`{"a":`, 60) + `"` + strings.Repeat("x", 1000*times) + `"` + strings.Repeat("}", 61))
		},
	} {
		for _, times := range []int{1, 10, 100} {
			data := body(times)
			b.Run(fmt.Sprintf("%s/%dx", name, times), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					var r UpdateRequest
					_ = r.UnmarshalJSON(data)
					_, _ = r.Validate(100, time.Now())
				}
			})
		}
	}
}
