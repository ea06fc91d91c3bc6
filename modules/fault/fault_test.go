package fault_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/moim-live/moim/modules/fault"
)

func TestAValidationFailureListsAtMost50Mistakes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 50, 51, 100_000} {
		fields := make([]fault.Field, n)
		for i := range fields {
			fields[i].Field = strconv.Itoa(i)
		}
		e := fault.Validation(fields...)
		if len(e.Fields) != min(n, 50) || n > 0 && e.Fields[0] != fields[0] {
			t.Errorf("%d mistakes: listed %d", n, len(e.Fields))
		}
		if says := strings.Contains(e.Message, "the first 50"); says != (n > 50) {
			t.Errorf("%d mistakes: %s", n, e.Message)
		}
	}
}

func TestAValidationFailureShortensWhatClientsWrote(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"name", strings.Repeat("x", 256), strings.Repeat("x", 257), "x" + strings.Repeat("é", 1<<20), strings.Repeat("\x80", 1000)} {
		got := fault.Validation(fault.Field{Field: text, Message: text}).Fields[0]
		if got.Field != got.Message || len(got.Field) > 256 || utf8.ValidString(text) && !utf8.ValidString(got.Field) {
			t.Errorf("%d bytes became %q, %q", len(text), got.Field, got.Message)
		}
		if whole := got.Field == text; whole != (len(text) <= 256) {
			t.Errorf("%d bytes became %q", len(text), got.Field)
		}
	}
}
