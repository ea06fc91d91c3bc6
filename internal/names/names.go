// Package names tells which names and ids of people and groups can be read.
package names

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// blanks are letters and symbols that show nothing: the Hangul fillers and the empty
// Braille pattern.
const blanks = "\u115F\u1160\u3164\uFFA0\u2800"

// Visible reports whether s has a character that a reader can see by itself. Spaces,
// control and format characters, fillers and marks without a letter are not.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && !strings.ContainsRune(blanks, r)
	})
}

// Reorders reports whether s has a character that makes text after it run in another
// direction, so that a name may look like another one. Marks such as U+200E, which
// Hebrew and Arabic need, are none.
func Reorders(s string) bool { return strings.ContainsFunc(s, reorders) }

func reorders(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// IsStep reports whether s is "." or "..". In a URL's path these are steps: clients and
// proxies follow them, escaped or not, so no call could name s.
func IsStep(s string) bool { return s == "." || s == ".." }

// Clean returns a person's name as it is stored: in Unicode's composed form (NFC), without
// control characters, characters that reorder text, and outer spaces. It is empty if
// nobody could see the name.
func Clean(name string) string {
	name = strings.TrimSpace(norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || reorders(r) {
			return -1
		}
		return r
	}, name)))
	if !Visible(name) {
		return ""
	}
	return name
}
