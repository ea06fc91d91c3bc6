package cache_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/moim-live/moim/modules/cache"
)

// A cache loads an entry that it does not have once. A caller that knows of a newer revision gets
// that revision, whatever the cache holds.
func ExampleCache_Get() {
	ctx := context.Background()
	records, err := cache.New(cache.Config{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := records.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = records.Stop(ctx) }()

	row := cache.Entry{Revision: 1, Data: []byte("tea")} // in the database
	load := func(context.Context) (cache.Entry, error) {
		fmt.Println("the database is read")
		return row, nil
	}
	get := func(atLeast int64) {
		entry, err := records.Get(ctx, "order:7", atLeast, load)
		fmt.Println(string(entry.Data), err)
	}
	get(1)
	get(1)
	row = cache.Entry{Revision: 2, Data: []byte("coffee")}
	get(2)
	get(1)
	// Output:
	// the database is read
	// tea <nil>
	// tea <nil>
	// the database is read
	// coffee <nil>
	// coffee <nil>
}
