package rediscache

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/cache"
)

// An entry is stored as "1 <revision> <data>": the version of this format, the
// revision in decimal, which the scripts compare, and the data.
const wireVersion = "1"

func encode(e cache.Entry) string {
	return wireVersion + " " + strconv.FormatInt(e.Revision, 10) + " " + string(e.Data)
}

// decode decodes an entry. It accepts any input and never panics.
func decode(value string) (cache.Entry, error) {
	version, rest, _ := strings.Cut(value, " ")
	text, data, found := strings.Cut(rest, " ")
	revision, err := strconv.ParseInt(text, 10, 64)
	// The scripts accept only digits, so decode does not accept a sign.
	if version != wireVersion || !found || err != nil || revision < 0 || text[0] == '+' {
		return cache.Entry{}, fmt.Errorf("rediscache: a value of %d bytes is not an entry", len(value))
	}
	return cache.Entry{Revision: revision, Data: []byte(data)}, nil
}

func encodeInvalidation(node, key string, revision int64) string {
	return node + " " + strconv.FormatInt(revision, 10) + " " + key
}

func decodeInvalidation(payload string) (node, key string, revision int64, err error) {
	node, rest, _ := strings.Cut(payload, " ")
	text, key, found := strings.Cut(rest, " ")
	revision, err = strconv.ParseInt(text, 10, 64)
	if !found || err != nil || node == "" {
		return "", "", 0, fmt.Errorf("rediscache: a message of %d bytes is not an invalidation", len(payload))
	}
	return node, key, revision, nil
}
