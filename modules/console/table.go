package console

import (
	"net/url"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	// pageSize is how many rows a table has.
	pageSize = 50
	// maxCursor bounds where a page begins, in bytes.
	maxCursor = 512
)

// table is a part of a list, and the links to other parts. The template more shows these.
type table[T any] struct {
	Rows        []T
	Next, First string // relative links; empty: there is no such page
}

// list reads the part of a list that the parameter after asks for. read returns at most
// limit rows that follow the one whose key is after (empty: the first ones), or fewer as
// [group.ListBytes] says.
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

// link returns the page's own address with another value of a parameter.
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
