package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// pageSize is the number of items in one page, the server's maximum.
const pageSize = "200"

type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor"`
	Version    int64  `json:"version"` // version of the group, in a list of members
}

// list returns the items of a list. It requests pages as needed, and ends with the first
// error.
func list[T any](ctx context.Context, c *Client, query url.Values, path string, args ...string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		cursor := ""
		for {
			r := newRequest(http.MethodGet, path, args...)
			for name, values := range query {
				r.query[name] = values
			}
			r.query.Set("limit", pageSize)
			if cursor != "" {
				r.query.Set("cursor", cursor)
			}
			p, err := call[page[T]](ctx, c, r, nil, nil)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if cursor = p.NextCursor; cursor == "" {
				return
			}
		}
	}
}
