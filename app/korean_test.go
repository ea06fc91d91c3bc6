package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestKoreanKeepsStep compares the Korean pages with the English ones. Both must have the same
// levels of headings, the same code, and the same number of table rows.
func TestKoreanKeepsStep(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join("..", "docs", "ko", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	pairs := map[string]string{filepath.Join("..", "README.ko.md"): filepath.Join("..", "README.md")}
	for _, page := range pages {
		pairs[page] = filepath.Join("..", "docs", filepath.Base(page))
	}
	for korean, english := range pairs {
		got, want := outline(t, korean), outline(t, english)
		for i := range max(len(got), len(want)) {
			switch {
			case i >= len(got):
				t.Errorf("%s: missing: %s", korean, want[i])
			case i >= len(want):
				t.Errorf("%s: not in %s: %s", korean, english, got[i])
			case got[i] != want[i]:
				t.Errorf("%s: has\n%s\nwhere %s has\n%s", korean, got[i], english, want[i])
			default:
				continue
			}
			break
		}
	}
}

// outline returns, in order, the levels of a page's headings, its code blocks, and a mark for
// each table row.
func outline(t *testing.T, page string) (parts []string) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile("(?ms)^ *```.*?^ *```$|^#+ |^\\|")
	for _, found := range part.FindAllString(string(data), -1) {
		parts = append(parts, strings.TrimSpace(found))
	}
	if !slices.Contains(parts, "#") {
		t.Errorf("%s has no title", page)
	}
	return parts
}
