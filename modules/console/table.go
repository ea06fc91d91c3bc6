package console

import (
	"net/url"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	// pageSize is the number of rows of a table.
	pageSize = 50
	// maxCursor is the maximum size of a cursor, in bytes.
	maxCursor = 512
)

// table is one page of a list, with links to other pages. The template more shows the
// links.
type table[T any] struct {
	Rows        []T
	Next, First string // relative links; empty if there is no such page
}

// list reads the page of a list that begins after the parameter after. read returns at most
// limit rows that follow the row with key after (if empty, the first rows), or fewer
// according to [group.ListBytes].
func list[T any](v visit, key func(T) string, read func(after string, limit int) ([]T, error)) (table[T], error) {
	after := v.query("after")
	if len(after) > maxCursor {
		return table[T]{}, fault.ErrBadRequest.WithMessage("the link of this page is damaged: open the list again")
	}
	rows, err := read(after, pageSize+1)
	if err != nil {
		return table[T]{}, err
	}
	t := table[T]{Rows: rows}
	if fit := group.Fit(rows, pageSize); fit < len(rows) {
		t.Rows, t.Next = rows[:fit], link(v, "after", key(rows[fit-1]))
	}
	if after != "" {
		t.First = link(v, "after", "")
	}
	return t, nil
}

// link returns the page's address with another value of one parameter.
func link(v visit, name, value string) string {
	q := url.Values{}
	for other, values := range v.g.Request.URL.Query() {
		if other == name || other == "done" {
			continue
		}
		for _, v := range values {
			if v != "" {
				q.Add(other, v)
			}
		}
	}
	if value != "" {
		q.Set(name, value)
	}
	return "?" + q.Encode()
}
