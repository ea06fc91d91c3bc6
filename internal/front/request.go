package front

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// requestBytes is what most requests fit into. Of those that do not, only the
// ones that open WebSockets are answered here.
const requestBytes = 4 << 10

var (
	get       = []byte("GET /")
	post      = []byte("POST /")
	lineEnd   = []byte("\r\n")
	headerEnd = []byte("\r\n\r\n")
)

// isCall tells the two kinds of requests that are answered here apart.
func isCall(r *http.Request) bool { return r.Method == http.MethodPost }

// next reads from a connection until it is clear who answers, and returns what
// it has read: with a request if that is the listener. The connection may be
// silent for as long as idle says, but a request that has begun has its own
// time.
func (l *Listener) next(c *client, buffer []byte, idle time.Duration) (data []byte, r *http.Request, err error) {
	for until := time.Now().Add(idle); ; {
		switch {
		case r != nil: // its body is waited for, even by a listener that is closed
			err = c.SetReadDeadline(until)
		case !l.await(c.Conn, until):
			err = net.ErrClosed
		}
		if err != nil {
			return nil, nil, err
		}
		n, err := c.Read(buffer[len(data):])
		if err != nil {
			return nil, nil, err
		}
		if len(data) == 0 {
			if n = c.tidy(buffer[:n]); n == 0 {
				continue
			}
			until = earlier(until, time.Now().Add(l.cfg.Timeout))
		}
		data = buffer[:len(data)+n]
		head, body, whole := cutHeader(data)
		if !l.plausible(head) {
			return data, nil, nil
		}
		if whole {
			r = l.request(c, head)
			switch {
			case r == nil, int64(len(body)) > r.ContentLength: // something follows already
				return data, nil, nil
			case int64(len(body)) == r.ContentLength:
				if len(body) > 0 {
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				return data, r, nil
			}
			l.arrived(c.Conn)
		}
		if len(data) == len(buffer) {
			if len(buffer) >= l.cfg.MaxHeader || !bytes.HasPrefix(data, get) {
				return data, nil, nil
			}
			buffer = make([]byte, l.cfg.MaxHeader)
			copy(buffer, data)
		}
	}
}

// tidy drops the empty lines that old clients send after what they post, and
// returns how much is left.
func (c *client) tidy(data []byte) int {
	if c.last.text == nil {
		return len(data)
	}
	return copy(data, bytes.TrimLeft(data, "\r\n"))
}

// cutHeader takes a request apart after the empty line, if that has arrived.
func cutHeader(data []byte) (head, body []byte, whole bool) {
	end := bytes.Index(data, headerEnd)
	if end < 0 {
		return data, nil, false
	}
	end += len(headerEnd)
	return data[:end], data[end:], true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// plausible reports whether data may be, or become, the header of a request
// that is answered here.
func (l *Listener) plausible(data []byte) bool {
	switch {
	case !ordinaryLines(data):
		return false
	case bytes.HasPrefix(data, get):
		return l.opens(data[len(get)-1:])
	case bytes.HasPrefix(data, post):
		return l.calls(data[len(post)-1:])
	default:
		return bytes.HasPrefix(get, data) || bytes.HasPrefix(post, data)
	}
}

// ordinaryLines reports whether no line ends in LF alone, which net/http takes.
func ordinaryLines(data []byte) bool {
	return bytes.Count(data, lineEnd) == bytes.Count(data, lineEnd[1:])
}

// opens reports whether the path at the beginning of data, as far as it has
// arrived, is or begins one where WebSockets are opened.
func (l *Listener) opens(data []byte) bool {
	if end := bytes.IndexAny(data, "? \r\n"); end >= 0 {
		return slices.Contains(l.cfg.Sockets, string(data[:end]))
	}
	return slices.ContainsFunc(l.cfg.Sockets, func(path string) bool { return strings.HasPrefix(path, string(data)) })
}

// calls reports whether the path at the beginning of data, if it has arrived,
// is one of a short call.
func (l *Listener) calls(data []byte) bool {
	end := bytes.IndexAny(data, "? \r\n")
	return end < 0 || l.cfg.Calls(string(data[:end]))
}

// request returns the request of a plausible header, without its body, or nil
// when there is anything unusual about it. What net/http refuses is not let
// through.
func (l *Listener) request(c *client, data []byte) *http.Request {
	line, rest, _ := bytes.Cut(data, lineEnd)
	method, target, _ := strings.Cut(string(line), " ")
	target, ordinary := strings.CutSuffix(target, " HTTP/1.1")
	if !ordinary || strings.Contains(target, " ") {
		return nil
	}
	address, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	h, ok := l.header(c, method, rest)
	if !ok {
		return nil
	}
	return &http.Request{
		Method:        method,
		URL:           address,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        h.fields,
		Body:          http.NoBody,
		ContentLength: h.length,
		Host:          h.host,
		RequestURI:    target,
		RemoteAddr:    c.addr,
	}
}

// header is what a request says after its first line.
type header struct {
	text   []byte
	fields http.Header // without Host, as in net/http
	host   string
	length int64 // of the body
}

// header returns the header that lines are, if it is ordinary. A client that
// calls again and again mostly sends the same, which is taken apart once.
func (l *Listener) header(c *client, method string, lines []byte) (header, bool) {
	if method == http.MethodPost && c.last.text != nil && bytes.Equal(c.last.text, lines) {
		return c.last, true
	}
	reader, _ := l.readers.Get().(*bufio.Reader)
	defer l.readers.Put(reader)
	reader.Reset(bytes.NewReader(lines))
	defer reader.Reset(nil)
	parsed, err := textproto.NewReader(reader).ReadMIMEHeader()
	fields := http.Header(parsed)
	if err != nil || !ordinary(method, fields) {
		return header{}, false
	}
	h := header{fields: fields, host: fields.Get("Host")}
	delete(fields, "Host")
	if method == http.MethodGet {
		return h, true
	}
	length, err := strconv.ParseUint(fields.Get("Content-Length"), 10, 31) // digits alone
	if err != nil {
		return header{}, false
	}
	h.text, h.length = bytes.Clone(lines), int64(length)
	c.last = h
	return h, true
}

// ordinary reports whether a header is one that net/http would not refuse, and
// asks for nothing but a WebSocket, or an answer on a connection that is kept.
func ordinary(method string, fields http.Header) bool {
	for name, values := range fields {
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return false
			}
		}
		switch name {
		case "Transfer-Encoding", "Trailer", "Expect":
			return false
		}
	}
	hosts, lengths := fields["Host"], fields["Content-Length"]
	if len(hosts) != 1 || !httpguts.ValidHostHeader(hosts[0]) {
		return false
	}
	if method == http.MethodGet {
		return len(lengths) == 0 && httpguts.HeaderValuesContainsToken(fields["Upgrade"], "websocket")
	}
	connection := fields["Connection"]
	return len(lengths) == 1 && len(fields["Upgrade"]) == 0 && (len(connection) == 0 || strings.EqualFold(connection[0], "keep-alive") && len(connection) == 1)
}
