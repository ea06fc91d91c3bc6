package hook

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxProblem bounds what is kept of an error, in bytes.
const maxProblem = 300

// problemOf returns the text of an error as it is stored and shown: one line of characters
// that can be printed. Receivers and the functions of programs write parts of it: a
// certificate names hosts, a function returns whatever it likes. Databases refuse some bytes,
// and terminals obey others.
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
