package app_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// words maps patterns of unclear words to the terms to use instead.
var words = map[string]string{
	`\bdoors?\b`:                "endpoint, or transport",
	`\bforesee\b`:               "precheck",
	`\b[hH]earsay\b`:            "remote reports",
	`\b[cC]hores?\b`:            "backlog",
	`\b[mM]end\b`:               "fix, repair",
	`\b[iI]n vain\b`:            "without success, too long",
	`\b[sS]trikes?\b`:           "fire, of a timer",
	`\bstandings?\b`:            "memberships",
	`//.*\b([Hh]e|[Hh]i[ms])\b`: "the user, they",
}

// TestNobodyHasToDecodeWords searches code and documents for words that have a standard term.
func TestNobodyHasToDecodeWords(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	patterns := make(map[*regexp.Regexp]string)
	for pattern, instead := range words {
		patterns[regexp.MustCompile(pattern)] = instead
	}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "data"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, ".md") || d.Name() == "words_test.go":
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for pattern, instead := range patterns {
			for _, found := range pattern.FindAllIndex(text, -1) {
				line := 1 + bytes.Count(text[:found[0]], []byte("\n"))
				t.Errorf("%s:%d: %q: write: %s", strings.TrimPrefix(file, root+"/"), line, text[found[0]:found[1]], instead)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
