package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/moim-live/moim/modules/fault"
)

// Page is one page of a list.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor,omitempty" doc:"cursor of the next page; absent on the last page"`
}

// Paging holds the parameters of an operation that returns a [Page]. Embed it in
// the input.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"nextCursor of the previous page"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"maximum number of items in the page; a page of large items ends earlier, at 256 KiB"`
}

const cursorMAC = 16 // bytes

// Cursor returns an opaque, signed cursor that contains value, the place where the next
// page begins. kind names the list and its filters. A cursor is valid for one kind only.
func (a *API) Cursor(kind, value string) string {
	return base64.RawURLEncoding.EncodeToString(append(a.cursorSum(kind, value), value...))
}

// ParseCursor returns the value in a cursor. An empty cursor means the first page and has
// an empty value. ParseCursor returns fault.ErrBadRequest if the cursor is not from
// [API.Cursor] with this kind.
func (a *API) ParseCursor(kind, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < cursorMAC {
		return "", errCursor
	}
	value := string(raw[cursorMAC:])
	if !hmac.Equal(raw[:cursorMAC], a.cursorSum(kind, value)) {
		return "", errCursor
	}
	return value, nil
}

var errCursor = fault.ErrBadRequest.WithMessage("the cursor is not one of this list: start again without one")

// SetCursorKey replaces the key that signs cursors. Nodes accept each other's
// cursors if they have the same key. Initially the key is random. Earlier
// cursors become invalid. SetCursorKey is safe for concurrent use.
func (a *API) SetCursorKey(key []byte) {
	key = slices.Clone(key)
	a.cursorKey.Store(&key)
}

func (a *API) cursorSum(kind, value string) []byte {
	mac := hmac.New(sha256.New, *a.cursorKey.Load())
	mac.Write([]byte("moim cursor\x00" + kind + "\x00" + value))
	return mac.Sum(nil)[:cursorMAC]
}
