package web

import (
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/fault"
)

// ETag returns the entity tag of a revision: "12", in quotes.
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// ParseIfMatch parses an If-Match header. If the header is absent or a star, anyRevision is
// true. A tag that is not from [ETag] results in revision 0, which no record has.
// ParseIfMatch returns fault.ErrBadRequest if the header is malformed.
//
// It accepts weak tags, because proxies that compress responses make tags weak.
func ParseIfMatch(header string) (revision int64, anyRevision bool, err error) {
	header = strings.TrimSpace(header)
	if header == "" || header == "*" {
		return 0, true, nil
	}
	tag := strings.TrimPrefix(header, "W/")
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.Contains(tag[1:len(tag)-1], `"`) {
		return 0, false, fault.ErrBadRequest.WithMessage(`If-Match must be one entity tag, like "12", or *`)
	}
	digits := tag[1 : len(tag)-1]
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 0 && strconv.FormatInt(n, 10) == digits {
		revision = n
	}
	return revision, false, nil
}
