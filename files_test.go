package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestCreateAgain checks that a repeated import accepts the file of ids that the first one
// created, and no other file.
func TestCreateAgain(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ids.tsv")
	text := func(parts ...string) func(io.Writer) error {
		return func(out io.Writer) error {
			for _, part := range parts {
				if _, err := io.WriteString(out, part); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for range 2 {
		if err := createAgain(name, text("a\t1\n", "b\t2\n")); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{"", "a\t1\n", "a\t1\nb\t3\n", "a\t1\nb\t2\nc\t3\n"} {
		if err := createAgain(name, text(other)); !errors.Is(err, os.ErrExist) {
			t.Errorf("over another text than %q: %v", other, err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "a\t1\nb\t2\n" {
		t.Errorf("the file has %q, %v", got, err)
	}
	if err := create(name, text("a\t1\n", "b\t2\n")); !errors.Is(err, os.ErrExist) {
		t.Errorf("create over a file: %v", err)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 mistakes", 1: "1 mistake", 2: "2 mistakes"} {
		if got := count(n, "mistake"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
