package engine

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// rawClient is a WebSocket client that sends single bytes, so it can break every rule.
type rawClient struct {
	net.Conn
	in *bufio.Reader
}

// rawFrame is a frame from the server.
type rawFrame struct {
	op      opcode
	payload string
}

// validHandshake returns the header lines of a valid upgrade, without Host.
func validHandshake() []string {
	return []string{
		"Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
}

// dialRaw sends a request and returns the response, or nil if there is none.
func (s *testServer) dialRaw(tb testing.TB, line string, header ...string) (*rawClient, *http.Response) {
	tb.Helper()
	dial := new(net.Dialer).DialContext
	if s.http.TLS != nil {
		dial = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext
	}
	conn, err := dial(tb.Context(), "tcp", s.addr())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := line + "\r\nHost: x\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		tb.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return &rawClient{conn, in}, nil
	}
	return &rawClient{conn, in}, resp
}

// upgradeRaw opens a WebSocket. With Engine.IO, it reads the open packet.
func (s *testServer) upgradeRaw(tb testing.TB, p Protocol) *rawClient {
	tb.Helper()
	line := "GET " + strings.TrimPrefix(address("", p), "ws://") + " HTTP/1.1"
	c, resp := s.dialRaw(tb, line, validHandshake()...)
	if resp == nil || resp.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatalf("not upgraded: %+v", resp)
	}
	if p == EngineIO {
		if f, err := c.frame(); err != nil || !strings.HasPrefix(f.payload, "0{") {
			tb.Fatalf("opened with %+v: %v", f, err)
		}
	}
	return c
}

func (c *rawClient) write(tb testing.TB, data ...[]byte) {
	tb.Helper()
	var all []byte
	for _, d := range data {
		all = append(all, d...)
	}
	if _, err := c.Write(all); err != nil {
		tb.Fatal(err)
	}
}

// frame reads one frame. Frames of a server are neither masked nor fragmented.
func (c *rawClient) frame() (f rawFrame, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return f, err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var n [2]byte
		_, err = io.ReadFull(c.in, n[:])
		size = uint64(binary.BigEndian.Uint16(n[:]))
	case 127:
		var n [8]byte
		_, err = io.ReadFull(c.in, n[:])
		size = binary.BigEndian.Uint64(n[:])
	}
	if err != nil {
		return f, err
	}
	payload := make([]byte, size)
	_, err = io.ReadFull(c.in, payload)
	return rawFrame{opcode(head[0] & 0xf), string(payload)}, err
}

// rest returns the messages up to the end of the connection, and the close code. Nothing may
// follow a close frame.
func (c *rawClient) rest(tb testing.TB) (messages []string, code int) {
	tb.Helper()
	for {
		f, err := c.frame()
		if err == io.EOF { //nolint:errorlint // between frames, it is exactly this error
			return messages, code
		}
		if err != nil {
			tb.Fatalf("after %q: %v", messages, err)
		}
		if code != 0 {
			tb.Fatalf("%+v after the close frame", f)
		}
		switch {
		case f.op == opText:
			messages = append(messages, f.payload)
		case f.op == opClose && len(f.payload) >= 2:
			code = int(binary.BigEndian.Uint16([]byte(f.payload)))
		case f.op == opClose:
			code = websocket.CloseNoStatusReceived
		}
	}
}
