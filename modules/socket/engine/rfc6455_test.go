package engine

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

// TestOpeningHandshake checks that requests that violate RFC 6455, section 4.2.1, are
// refused before the accept function is called.
func TestOpeningHandshake(t *testing.T) {
	t.Parallel()
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	without := func(names ...string) []string {
		return slices.DeleteFunc(validHandshake(), func(line string) bool {
			name, _, _ := strings.Cut(line, ":")
			return slices.Contains(names, name)
		})
	}
	with := func(lines ...string) []string {
		names := make([]string, len(lines))
		for i, line := range lines {
			names[i], _, _ = strings.Cut(line, ":")
		}
		return append(without(names...), lines...)
	}
	for _, test := range []struct {
		name   string
		method string
		proto  string
		header []string
		status int
	}{
		{"valid", "GET", "HTTP/1.1", with(), 101},
		{"lists of tokens", "GET", "HTTP/1.1", with("Connection: keep-alive, UPGRADE", "Upgrade: h2c, WebSocket"), 101},
		{"tokens on several lines", "GET", "HTTP/1.1", with("Connection: keep-alive", "Connection: upgrade"), 101},
		{"HTTP/1.0", "GET", "HTTP/1.0", with(), 426},
		{"version 8", "GET", "HTTP/1.1", with("Sec-WebSocket-Version: 8"), 426},
		{"no version", "GET", "HTTP/1.1", without("Sec-WebSocket-Version"), 426},
		{"a list of versions", "GET", "HTTP/1.1", with("Sec-WebSocket-Version: 8, 13"), 426},
		{"two versions", "GET", "HTTP/1.1", with("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"), 400},
		{"no key", "GET", "HTTP/1.1", without("Sec-WebSocket-Key"), 400},
		{"two keys", "GET", "HTTP/1.1", with(key, key), 400},
		{"an empty second key", "GET", "HTTP/1.1", with(key, "Sec-WebSocket-Key:"), 400},
		{"a short key", "GET", "HTTP/1.1", with("Sec-WebSocket-Key: c2hvcnQ="), 400},
		{"a long key", "GET", "HTTP/1.1", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBpcyBsb25n"), 400},
		{"a key not in base64", "GET", "HTTP/1.1", with("Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="), 400},
	} {
		for listener, serve := range listeners {
			for endpoint, p := range endpoints {
				t.Run(test.name+" "+listener+" "+endpoint, func(t *testing.T) {
					t.Parallel()
					s := startOn(t, serve, Config{})
					line := test.method + " " + strings.TrimPrefix(address("", p), "ws://") + " " + test.proto
					_, resp := s.dialRaw(t, line, test.header...)
					if resp == nil || resp.StatusCode != test.status {
						t.Fatalf("answered by %+v", resp)
					}
					if test.status == http.StatusSwitchingProtocols {
						receive(t, s.receivers)
						return
					}
					if test.status == http.StatusUpgradeRequired {
						if got := resp.Header; got.Get("Sec-WebSocket-Version") != "13" || got.Get("Upgrade") != "websocket" {
							t.Errorf("the answer does not name the supported version: %v", got)
						}
					}
					if n := s.Stats().Accepted; n != 0 || s.Len() != 0 {
						t.Errorf("%d were accepted, %d are kept", n, s.Len())
					}
				})
			}
		}
	}
	t.Run("POST", func(t *testing.T) {
		t.Parallel()
		s := start(t, Config{})
		_, resp := s.dialRaw(t, "POST /ws HTTP/1.1", validHandshake()...)
		if resp == nil || resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodGet {
			t.Fatalf("answered by %+v", resp)
		}
	})
}

// TestSubprotocolLines checks that several header lines form one list.
func TestSubprotocolLines(t *testing.T) {
	t.Parallel()
	for listener, serve := range listeners {
		for name, lines := range map[string][]string{
			"one":    {"bearer.x, moim"},
			"first":  {"moim", "bearer.x"},
			"second": {"bearer.x", "moim"},
			"spaces": {"bearer.x ,  other", " moim\t"},
			"empty":  {"bearer.x", "", "moim"},
		} {
			t.Run(listener+" "+name, func(t *testing.T) {
				t.Parallel()
				header := validHandshake()
				for _, line := range lines {
					header = append(header, "Sec-WebSocket-Protocol: "+line)
				}
				_, resp := startOn(t, serve, Config{}).dialRaw(t, "GET /ws HTTP/1.1", header...)
				if resp == nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("answered by %+v", resp)
				}
				if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != subprotocol {
					t.Errorf("the server chose %q", got)
				}
			})
		}
	}
}

// goingAway returns a close frame of a client.
func goingAway(code int, reason string) []byte {
	return fromClient(0x88, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// TestClosingCodes checks that both readers accept the same close codes.
func TestClosingCodes(t *testing.T) {
	t.Parallel()
	const wrong = websocket.CloseProtocolError
	for code, answer := range map[int]int{
		0: wrong, 999: wrong, 1000: 1000, 1001: 1001, 1002: 1002, 1003: 1003, 1004: wrong, 1005: wrong, 1006: wrong,
		1007: 1007, 1008: 1008, 1009: 1009, 1010: 1010, 1011: 1011, 1012: 1012, 1013: 1013, 1014: wrong, 1015: wrong,
		1016: wrong, 2999: wrong, 3000: 3000, 3999: 3999, 4000: 4000, 4999: 4999, 5000: wrong, 65535: wrong,
	} {
		for listener, serve := range listeners {
			t.Run(fmt.Sprint(code, listener), func(t *testing.T) {
				t.Parallel()
				s := startOn(t, serve, Config{})
				c := s.upgradeRaw(t, Plain)
				c.write(t, goingAway(code, "a reason"))
				if _, got := c.rest(t); got != answer {
					t.Errorf("answered by %d, want %d", got, answer)
				}
				reason := TransportClose
				if answer == wrong && code != wrong {
					reason = ParseError
				}
				_ = c.Close()
				receive(t, s.receivers).wantClosed(t, reason)
			})
		}
	}
}

// length replaces a frame's length byte by kind (126 or 127) and size.
func length(frame []byte, kind byte, size uint64) []byte {
	head := []byte{frame[0], 0x80 | kind}
	if kind == 126 {
		head = binary.BigEndian.AppendUint16(head, uint16(size))
	} else {
		head = binary.BigEndian.AppendUint64(head, size)
	}
	return append(head, frame[2:]...)
}

// TestFraming breaks each rule of RFC 6455, section 5. Both readers must close with the same
// code, and nothing may follow the close frame.
func TestFraming(t *testing.T) {
	t.Parallel()
	const wrong, large = websocket.CloseProtocolError, websocket.CloseMessageTooBig
	type test struct {
		data     []byte
		code     int
		messages []string // that the receiver gets before the close
	}
	tests := map[string]test{
		"not masked":                       {text("x").wire, wrong, nil},
		"a ping in fragments":              {fromClient(0x09, "x"), wrong, nil},
		"a close frame in fragments":       {fromClient(0x08, "\x03\xe8"), wrong, nil},
		"a long ping":                      {fromClient(0x89, strings.Repeat("x", 126)), wrong, nil},
		"a long close frame":               {goingAway(1000, strings.Repeat("x", 124)), wrong, nil},
		"a short ping with a long length":  {length(fromClient(0x89, "x"), 126, 1), wrong, nil},
		"the end of no message":            {fromClient(0x80, "x"), wrong, nil},
		"a part of no message":             {fromClient(0x00, "x"), wrong, nil},
		"a message in another one":         {append(fromClient(0x01, "x"), fromClient(0x81, "x")...), wrong, nil},
		"a begin in another one":           {append(fromClient(0x01, "x"), fromClient(0x02, "x")...), wrong, nil},
		"a close frame of one byte":        {fromClient(0x88, "\x03"), wrong, nil},
		"one byte within a message":        {append(fromClient(0x01, "x"), fromClient(0x88, "\x03")...), wrong, nil},
		"one byte after a message":         {append(fromClient(0x81, "x"), fromClient(0x88, "\x03")...), wrong, []string{"x"}},
		"a reason that is not UTF-8":       {goingAway(1000, "\xff"), wrong, nil},
		"a length of 64 bits":              {length(fromClient(0x81, "x"), 127, 1<<63|1), large, nil},
		"the longest length":               {length(fromClient(0x81, "x"), 127, 1<<63-1), large, nil},
		"fragments that overflow":          {append(fromClient(0x01, "x"), length(fromClient(0x80, "x"), 127, 1<<63-1)...), large, nil},
		"an empty close frame":             {fromClient(0x88, ""), websocket.CloseNoStatusReceived, nil},
		"the longest reason":               {goingAway(1000, strings.Repeat("x", 123)), 1000, nil},
		"a close frame within a message":   {append(fromClient(0x01, "x"), goingAway(1000, "")...), 1000, nil},
		"a longer length than needed":      {append(length(fromClient(0x81, "x"), 126, 1), goingAway(1000, "")...), 1000, []string{"x"}},
		"a much longer length than needed": {append(length(fromClient(0x81, "x"), 127, 1), goingAway(1000, "")...), 1000, []string{"x"}},
		"what follows a close frame":       {append(goingAway(1000, ""), fromClient(0x81, "x")...), 1000, nil},
		"two close frames":                 {append(goingAway(1000, ""), goingAway(4000, "")...), 1000, nil},
	}
	for _, bit := range []byte{0x40, 0x20, 0x10} {
		tests[fmt.Sprintf("reserved bit %#x", bit)] = test{fromClient(0x81|bit, "x"), wrong, nil}
		tests[fmt.Sprintf("reserved bit %#x of a close frame", bit)] = test{fromClient(0x88|bit, ""), wrong, nil}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		tests[fmt.Sprintf("reserved opcode %#x", op)] = test{fromClient(0x80|op, "x"), wrong, nil}
	}
	for name, test := range tests {
		for listener, serve := range listeners {
			t.Run(name+" "+listener, func(t *testing.T) {
				t.Parallel()
				s := startOn(t, serve, Config{})
				c := s.upgradeRaw(t, Plain)
				c.write(t, test.data)
				if _, got := c.rest(t); got != test.code {
					t.Errorf("closed with %d, want %d", got, test.code)
				}
				_ = c.Close()
				r := receive(t, s.receivers)
				receive(t, r.closed)
				var got []string
				for m := range r.messages {
					got = append(got, m)
				}
				if diff := cmp.Diff(test.messages, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestSentWithTheHandshake checks that a client that sends before the response is
// refused.
func TestSentWithTheHandshake(t *testing.T) {
	t.Parallel()
	for listener, serve := range listeners {
		t.Run(listener, func(t *testing.T) {
			t.Parallel()
			s := startOn(t, serve, Config{})
			header := validHandshake()
			last := &header[len(header)-1]
			*last += "\r\n\r\n" + string(fromClient(0x81, "x")) // dialRaw adds one more end of the header
			c, resp := s.dialRaw(t, "GET /ws HTTP/1.1", header...)
			if resp != nil {
				t.Errorf("answered by %d", resp.StatusCode)
			}
			if _, err := c.Read(make([]byte, 1)); err == nil || err == io.ErrShortBuffer { //nolint:errorlint // any error except a full buffer
				t.Errorf("the connection goes on: %v", err)
			}
			receive(t, s.receivers).wantClosed(t, TransportError)
		})
	}
}
