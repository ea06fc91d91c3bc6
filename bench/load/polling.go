//go:build linux

package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// separator separates the Engine.IO packets of a payload.
const separator = '\x1e'

// polling is what a client without a WebSocket has beside its connection, on
// which a GET request waits at all times.
type polling struct {
	url    string // with the session's id, once it is known
	get    []byte // the GET request
	unsent []string
	poster *conn // carries the POST requests; nil: none is open
}

// say sends a message.
func (c *conn) say(text string) error {
	if c.polling != nil {
		c.polling.unsent = append(c.polling.unsent, text) // flush posts it
		return nil
	}
	return c.write(frameOf(opText, text))
}

// poll sends a GET request, as socket.io-client does.
func (c *conn) poll() error {
	if c.polling.get == nil {
		c.polling.get = []byte("GET " + c.polling.url + " HTTP/1.1\r\n" + c.fields() + "\r\n")
	}
	return c.write(c.polling.get)
}

func (c *conn) fields() string {
	return "User-Agent: node-XMLHttpRequest\r\nAccept: */*\r\nHost: " + c.session.Addr + "\r\nConnection: keep-alive\r\n"
}

// polled takes the answer to a GET request off data, once it is complete, and
// sends the next one.
func (l *loop) polled(c *conn, data []byte, now int64) (rest []byte, err error) {
	body, size, err := nextAnswer(data)
	if err != nil || size == 0 {
		return data, err
	}
	for more := true; more; {
		var packet []byte
		packet, body, more = bytes.Cut(body, []byte{separator})
		if err := l.packet(c, packet, now); err != nil {
			return nil, err
		}
	}
	if err := c.poll(); err != nil {
		return nil, err
	}
	return data[size:], l.flush(c)
}

func (l *loop) packet(c *conn, packet []byte, now int64) error {
	if string(packet) == "1" {
		return errClosed
	}
	if opened, ok := bytes.CutPrefix(packet, []byte{'0'}); ok {
		var session struct{ SID string }
		if err := json.Unmarshal(opened, &session); err != nil || session.SID == "" {
			return fmt.Errorf("no session: %s", packet)
		}
		c.polling.url, c.polling.get = c.session.Path+"&sid="+session.SID, nil
	}
	return l.receive(c, packet, now)
}

// flush posts what a client has said, all at once. It waits for the answer to
// the request before.
func (l *loop) flush(c *conn) error {
	p := c.polling
	switch {
	case len(p.unsent) == 0:
		return nil
	case p.poster == nil:
		poster, err := dial(c.session, c.number)
		if err != nil {
			return err
		}
		poster.client, poster.waits = c, true
		p.poster = poster
		return l.watch(poster) // it posts once it is connected
	case p.poster.waits:
		return nil
	}
	return p.poster.post()
}

// post sends what the client has said.
func (c *conn) post() error {
	p := c.client.polling
	body := strings.Join(p.unsent, string(separator))
	p.unsent, c.waits = p.unsent[:0], true
	return c.write([]byte("POST " + p.url + " HTTP/1.1\r\n" + c.fields() +
		"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body))
}

// posted takes the answer to a POST request off data.
func (l *loop) posted(c *conn, data []byte) (rest []byte, err error) {
	body, size, err := nextAnswer(data)
	if err != nil || size == 0 {
		return data, err
	}
	if string(body) != "ok" {
		return nil, fmt.Errorf("a POST request is answered by %q", body)
	}
	c.waits = false
	return data[size:], l.flush(c.client)
}

var contentLength = []byte("\r\nContent-Length: ")

// nextAnswer reads the answer that data begins with: its body, which is a part
// of data, and how many bytes it takes. The size is 0 while it is not complete.
func nextAnswer(data []byte) (body []byte, size int, err error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0, nil
	}
	head := data[:end+2]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return nil, 0, fmt.Errorf("refused: %s", data)
	}
	at := bytes.Index(head, contentLength)
	if at < 0 {
		return nil, 0, errors.New("an answer without Content-Length")
	}
	length := 0
	for _, digit := range head[at+len(contentLength):] {
		if digit < '0' || digit > '9' {
			break
		}
		length = 10*length + int(digit-'0')
	}
	if size = end + 4 + length; size > len(data) {
		return nil, 0, nil
	}
	return data[end+4 : size], size, nil
}
