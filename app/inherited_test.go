package app

import (
	"slices"
	"testing"
)

func TestKeysOfInheritedSockets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n     int
		names string
		want  []string
	}{
		{1, "", []string{"http.addr"}},
		{1, "moim.socket", []string{"http.addr"}},
		{1, "metrics", []string{"metrics.addr"}},
		{2, "metrics:http", []string{"metrics.addr", "http.addr"}},
		{2, "", nil},
		{2, "http", nil},
		{2, "http:http", nil},
		{2, "http:other", nil},
	} {
		got, err := keysOf(c.n, c.names)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%d sockets named %q are for %q, %v; want %q", c.n, c.names, got, err, c.want)
		}
	}
}
