package hook

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProblemsCanBeStoredAndShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"no answer: connection refused":                  "no answer: connection refused",
		"valid for \x1b[2J\x1b]0;x\x07, not example.org": "valid for ?[2J?]0;x?, not example.org",
		"a\x00b\xffc":                           "a?b?c",
		" two\r\nlines\u2028and a third ":       "two lines and a third",
		"\u202Egpj.exe\u009b31m":                "?gpj.exe?31m",
		"영수증이 없습니다":                             "영수증이 없습니다",
		"":                                      "",
		strings.Repeat("x", maxProblem):         strings.Repeat("x", maxProblem),
		strings.Repeat("x", maxProblem-1) + "é": strings.Repeat("x", maxProblem-1) + "…",
		strings.Repeat("\xed\x95\x9c", 4*maxProblem)[1:]: "??" + strings.Repeat("한", (maxProblem-2)/3) + "…",
	} {
		got := problemOf(errors.New(in))
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%+q: got %+q, want %+q", in, got, want)
		}
	}
}
