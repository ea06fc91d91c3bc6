package names_test

import (
	"testing"

	"github.com/moim-live/moim/internal/names"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "모임", " b ", "7", "-", "😀", "\u200Bx", "\u202Ax", "ᄒ"} {
		if !names.Visible(s) {
			t.Errorf("%+q cannot be seen", s)
		}
	}
	for _, s := range []string{
		"", " ", "\u00A0", "\u3000\t", "\u3164", "\u200B\u200D", "\u2800", "\u115F\u1160", "\uFFA0", "\u202E", "\uFEFF", "\u00AD",
		"\u0301", "\u034F", "\uE000", "\U000E0020", "\uFE0F", "\u2028",
	} {
		if names.Visible(s) {
			t.Errorf("%+q can be seen", s)
		}
	}
}

func TestReorders(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{"\u202Egpj.exe": true, "a\u2066b": true, "שלום\u200E!": false, "plain": false} {
		if names.Reorders(s) != want {
			t.Errorf("%+q: want %t", s, want)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"  Mina\n":           "Mina",
		"\u202Eanim\u202C":   "anim",
		"\u1112\u1161\u11AB": "한",
		"\u3164":             "",
		" \u200B ":           "",
	} {
		if got := names.Clean(in); got != want {
			t.Errorf("%+q: %+q, want %+q", in, got, want)
		}
	}
}
