package redismove

import (
	"strings"
	"testing"
)

func TestSeal(t *testing.T) {
	t.Parallel()
	const url = "redis://user:hunter2@h:6379/0"
	s := Secret{Key: "0123456789abcdef0123456789abcdef"}
	sealed, err := s.seal(url, "move")
	if err != nil || strings.Contains(sealed, "hunter2") {
		t.Fatalf("sealed %q, %v", sealed, err)
	}
	if got, err := s.open(sealed, "move"); err != nil || got != url {
		t.Errorf("opened %q, %v", got, err)
	}
	for name, open := range map[string]func() (string, error){
		"another secret": func() (string, error) { return Secret{Key: "another"}.open(sealed, "move") },
		"another move":   func() (string, error) { return s.open(sealed, "other") },
		"something else": func() (string, error) { return s.open("~", "move") },
		"too short":      func() (string, error) { return s.open("aaaa", "move") },
		"no secret":      func() (string, error) { return Secret{}.open(sealed, "move") },
	} {
		if got, err := open(); err == nil || got != "" {
			t.Errorf("%s: opened %q", name, got)
		}
	}
	if _, err := (Secret{}).seal(url, "move"); err == nil {
		t.Error("sealed without a secret")
	}
}
