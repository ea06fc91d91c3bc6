package group_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ items, bytes, limit, want int }{
		{0, 0, 50, 0},
		{1, 10, 50, 1},
		{51, 10, 50, 50},
		{200, 1_000, 200, 200},
		{200, 2_000, 200, 130},
		{10, 100_000, 200, 2},
		{10, group.ListBytes / 2, 200, 1},
		{10, group.ListBytes/2 - 3, 200, 2}, // each item adds two quotes and a comma
		{10, group.ListBytes/2 - 2, 200, 1},
		{3, 2 * group.ListBytes, 200, 1},
		{3, 2 * group.ListBytes, 0, 0},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			items := make([]string, c.items)
			for i := range items {
				items[i] = strings.Repeat("x", c.bytes)
			}
			if got := group.Fit(items, c.limit); got != c.want {
				t.Errorf("%d items fit, want %d", got, c.want)
			}
		})
	}
}
