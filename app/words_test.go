package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// words maps what a reader would have to decode to what to write instead.
var words = map[string]string{
	`\bdoors?\b`:                "endpoint, or transport",
	`\bforesee\b`:               "precheck",
	`\b[sS]trikes?\b`:           "fire, of a timer",
	`\bstandings?\b`:            "memberships",
	`//.*\b([Hh]e|[Hh]i[ms])\b`: "the user, they",
}

// TestNobodyHasToDecodeWords searches code and documents for words that were
// replaced by the field's own.
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
		for i, line := range strings.Split(string(text), "\n") {
			for pattern, instead := range patterns {
				if found := pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: write: %s", strings.TrimPrefix(file, root+"/"), i+1, found, instead)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
