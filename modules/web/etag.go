package web

import (
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// ETag returns the entity tag of a revision: "12", in quotes.
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// ParseIfMatch reads an If-Match header. whichever says that no certain revision is
// asked for: the header is absent or a star. A tag that is none of ours gives
// revision 0, which no record has. A header that cannot be read is
// fault.ErrBadRequest.
//
// Weak tags count as strong ones: proxies that compress make them weak.
func ParseIfMatch(header string) (revision int64, whichever bool, err error) {
	header = strings.TrimSpace(header)
	if header == "" || header == "*" {
		return 0, true, nil
	}
	tag := strings.TrimPrefix(header, "W/")
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.Contains(tag[1:len(tag)-1], `"`) {
		return 0, false, fault.ErrBadRequest.WithMessage(`If-Match must be one entity tag, like "12", or *`)
	}
	if n, ours := strconv.ParseInt(tag[1:len(tag)-1], 10, 64); ours == nil && n > 0 {
		revision = n
	}
	return revision, false, nil
}
