package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	t.Parallel()
	for recorded, want := range map[string]string{
		"v1.2.3":                             "1.2.3",
		"v0.0.0-20261130061043-c5255cf0f0f5": "0.0.0-20261130061043-c5255cf0f0f5",
		"(devel)":                            "dev",
		"":                                   "dev",
	} {
		if got := versionOf(&debug.BuildInfo{Main: debug.Module{Version: recorded}}, true); got != want {
			t.Errorf("%q: %q, want %q", recorded, got, want)
		}
	}
	if got := versionOf(nil, false); got != "dev" {
		t.Errorf("without information: %q", got)
	}
}
