package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// TestDocumentation keeps docs/configuration.md true: go test ./config -update
// writes it.
func TestDocumentation(t *testing.T) {
	const file = "../docs/configuration.md"
	var b strings.Builder
	b.WriteString(`# Configuration

A file (` + "`moim.yaml` in the working directory, or `--config FILE`" + `), then the environment, then flags; the same names
everywhere. Unknown keys and values out of bounds are refused at start, all at once. ` + "`moim config`" + ` prints what is in force.

| key | environment | flag | default | meaning |
| --- | --- | --- | --- | --- |
`)
	for _, k := range Keys() {
		fmt.Fprintf(&b, "| `%s` | `%s` | `--%s` | %s | %s |\n", k.Name, k.Env(), k.Flag(), code(k.Default), k.Help)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("go test ./config -update would write (-) what the file does not say (+):\n%s", diff)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
