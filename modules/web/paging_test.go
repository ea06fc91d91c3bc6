package web_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

func TestCursors(t *testing.T) {
	t.Parallel()
	open := func() *web.API {
		return web.New(gin.New(), web.Config{}, verify, slog.New(slog.DiscardHandler))
	}
	one, same, other := open(), open(), open()
	one.SetCursorKey([]byte("0123456789abcdef"))
	same.SetCursorKey([]byte("0123456789abcdef"))
	for _, value := range []string{"", "0199", "a\x00b", "가"} {
		cursor := one.Cursor("groups", value)
		if got, err := same.ParseCursor("groups", cursor); err != nil || got != value {
			t.Errorf("%q on another node: %q, %v", value, got, err)
		}
		for name, parse := range map[string]func() (string, error){
			"another list": func() (string, error) { return one.ParseCursor("members", cursor) },
			"another key":  func() (string, error) { return other.ParseCursor("groups", cursor) },
			"longer":       func() (string, error) { return one.ParseCursor("groups", cursor+"AAAA") },
			"changed":      func() (string, error) { return one.ParseCursor("groups", flip(cursor)) },
			"shorter":      func() (string, error) { return one.ParseCursor("groups", cursor[:8]) },
			"not base64":   func() (string, error) { return one.ParseCursor("groups", "§") },
		} {
			if got, err := parse(); !errors.Is(err, fault.ErrBadRequest) {
				t.Errorf("%q %s: %q, %v", value, name, got, err)
			}
		}
	}
	if got, err := one.ParseCursor("groups", ""); got != "" || err != nil {
		t.Errorf("first page: %q, %v", got, err)
	}
}

func flip(s string) string {
	b := []byte(s)
	if b[3] == 'A' {
		b[3] = 'B'
	} else {
		b[3] = 'A'
	}
	return string(b)
}

func TestEntityTags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		header   string
		revision int64
		any      bool
		bad      bool
	}{
		{header: "", any: true},
		{header: "*", any: true},
		{header: web.ETag(12), revision: 12},
		{header: `W/"12"`, revision: 12},
		{header: ` "3" `, revision: 3},
		{header: `"abc"`},
		{header: `"-4"`},
		{header: `"01"`},
		{header: `"+1"`},
		{header: `"1 "`},
		{header: `12`, bad: true},
		{header: `"1", "2"`, bad: true},
		{header: `"`, bad: true},
	}
	for _, tt := range tests {
		revision, anything, err := web.ParseIfMatch(tt.header)
		if revision != tt.revision || anything != tt.any || errors.Is(err, fault.ErrBadRequest) != tt.bad {
			t.Errorf("%q: %d, %v, %v", tt.header, revision, anything, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := (web.Config{}).WithDefaults().Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	good := web.Config{Addr: ":80", Origins: []string{"*", "https://a.example", "http://localhost:3000/"}}
	if err := good.Validate(); err != nil {
		t.Errorf("good: %v", err)
	}
	for _, bad := range []web.Config{
		{Addr: "localhost"},
		{Addr: ":80", Origins: []string{"a.example"}},
		{Addr: ":80", Origins: []string{"https://a.example/path"}},
		{Addr: ":80", Origins: []string{""}},
	} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v passed", bad)
		}
	}
}
