package hook

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxProblem limits the stored text of an error, in bytes.
const maxProblem = 300

// problemOf returns the text of an error in the form in which it is stored and shown: one
// line of printable characters. Other programs write parts of it, for example the host
// names in a certificate or the error of a function. Some bytes cannot be stored, and
// others control terminals.
func problemOf(err error) string {
	text := err.Error()
	if len(text) > 4*maxProblem {
		text = text[:4*maxProblem] // the rest would be cut anyway
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxProblem {
		return text
	}
	end := maxProblem
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
