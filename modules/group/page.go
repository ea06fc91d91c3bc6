package group

import "github.com/moim-live/moim/modules/socket/packet/rawjson"

// ListBytes is the maximum size of one page of a list in JSON.
//
// A list from a [Repository] ends before its limit once it has at least two items and their
// text is larger than ListBytes. In JSON it is larger, too. So a caller that cuts the list
// with [Fit] leaves out an item, and knows that there are more.
const ListBytes = 256 << 10

// Fit returns how many of the first items make one page: at most limit, and at most
// [ListBytes] of JSON, but at least one if there is any.
func Fit[T any](items []T, limit int) int { return fit(items, limit, ListBytes) }

func fit[T any](items []T, limit, maxBytes int) int {
	items = items[:min(len(items), limit)]
	size := 0
	for i, item := range items {
		data, err := rawjson.Marshal(item)
		if err != nil {
			return len(items) // the error is reported when the items are encoded
		}
		if size += len(data) + len(","); size > maxBytes && i > 0 {
			return i
		}
	}
	return len(items)
}
