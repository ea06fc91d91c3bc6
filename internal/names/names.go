// Package names checks whether the names and ids of people and groups are readable.
package names

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// blanks are letters and symbols that look empty: the Hangul fillers and the empty Braille
// pattern.
const blanks = "\u115F\u1160\u3164\uFFA0\u2800"

// Visible reports whether s has a character that is visible on its own. Spaces, control and
// format characters, fillers, and marks without a letter are not.
func Visible(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && !strings.ContainsRune(blanks, r)
	})
}

// Reorders reports whether s has a character that changes the direction of the text after
// it, so that a name may look like another one. Marks such as U+200E, which Hebrew and
// Arabic need, do not count.
func Reorders(s string) bool { return strings.ContainsFunc(s, reorders) }

func reorders(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// IsStep reports whether s is "." or "..". In the path of a URL these are steps. Clients
// and proxies follow them even if they are escaped, so no call could contain such an id.
func IsStep(s string) bool { return s == "." || s == ".." }

// Clean returns a person's name in the form in which it is stored: in Unicode's composed
// form (NFC), without control characters, characters that reorder text, and outer spaces.
// It returns "" if the name has no visible character.
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
