package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/configuration.md")

// TestDocumentation checks that docs/configuration.md has the current table. go test ./config
// -update writes it.
func TestDocumentation(t *testing.T) {
	const file = "../docs/configuration.md"
	var table strings.Builder
	for _, k := range Keys() {
		fmt.Fprintf(&table, "| `%s` | `%s` | `--%s` | %s | %s |\n", k.Name, k.Env(), k.Flag(), code(k.Default), k.Help)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| key | environment | flag | default | meaning |\n| --- | --- | --- | --- | --- |\n"
	before, after, found := strings.Cut(string(text), head)
	if !found {
		t.Fatalf("%s has no table that begins with %q", file, head)
	}
	rest := after
	for strings.HasPrefix(rest, "|") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+head+table.String()+rest), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(table.String(), strings.TrimSuffix(after, rest)); diff != "" {
		t.Errorf("go test ./config -update would change the file (- new, + current):\n%s", diff)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
