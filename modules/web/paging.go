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
	NextCursor string `json:"nextCursor,omitempty" doc:"where the next page begins; absent on the last one"`
}

// Paging is what operations that answer with a [Page] take: embed it in the
// input.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"nextCursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"items a page"`
}

const cursorMAC = 16 // bytes

// Cursor returns an opaque cursor that holds value: where the next page
// begins. kind names the list, with its filters, so that a cursor is good for
// one list only.
func (a *API) Cursor(kind, value string) string {
	return base64.RawURLEncoding.EncodeToString(append(a.cursorSum(kind, value), value...))
}

// ParseCursor returns what [API.Cursor] was given. An empty cursor is the
// first page: an empty value. One that this server did not make for this kind
// is fault.ErrBadRequest.
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

// SetCursorKey replaces the key that signs cursors; earlier ones are no longer
// good. Safe for concurrent use.
func (a *API) SetCursorKey(key []byte) {
	key = slices.Clone(key)
	a.cursorKey.Store(&key)
}

func (a *API) cursorSum(kind, value string) []byte {
	mac := hmac.New(sha256.New, *a.cursorKey.Load())
	mac.Write([]byte("moim cursor\x00" + kind + "\x00" + value))
	return mac.Sum(nil)[:cursorMAC]
}
