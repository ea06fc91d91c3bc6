package group

import "github.com/moim-live/moim/modules/socket/packet/rawjson"

// ListBytes bounds one page of a list in JSON.
//
// A list that a [Repository] returns ends before its limit once it has at least
// two items and their text exceeds ListBytes. As JSON it exceeds them too. So
// whoever cuts it with [Fit] leaves out an item, and knows that there are more.
const ListBytes = 256 << 10

// Fit returns how many of the first items make one page: at most limit, and no
// more than fit into [ListBytes] of JSON, but at least one if there is any.
func Fit[T any](items []T, limit int) int { return fit(items, limit, ListBytes) }

func fit[T any](items []T, limit, maxBytes int) int {
	items = items[:min(len(items), limit)]
	size := 0
	for i, item := range items {
		data, err := rawjson.Marshal(item)
		if err != nil {
			return len(items) // whoever answers them reports it
		}
		if size += len(data) + len(","); size > maxBytes && i > 0 {
			return i
		}
	}
	return len(items)
}
