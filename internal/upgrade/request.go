package upgrade

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// headerBytes is what most headers fit into.
const headerBytes = 4 << 10

var (
	get       = []byte("GET /")
	lineEnd   = []byte("\r\n")
	headerEnd = []byte("\r\n\r\n")
)

// read reads from a connection until it is clear who answers, and returns what
// it has read: with a request if that is the listener.
func (l *Listener) read(conn net.Conn, buffer []byte) (data []byte, r *http.Request, err error) {
	for {
		if len(data) == len(buffer) {
			if len(buffer) >= l.cfg.MaxHeader {
				return data, nil, nil
			}
			buffer = make([]byte, l.cfg.MaxHeader)
			copy(buffer, data)
		}
		n, err := conn.Read(buffer[len(data):])
		if err != nil {
			return nil, nil, err
		}
		data = buffer[:len(data)+n]
		if !l.plausible(data) {
			return data, nil, nil
		}
		switch end := bytes.Index(data, headerEnd); end {
		case -1:
		case len(data) - len(headerEnd):
			return data, l.request(conn, data), nil
		default: // something follows already
			return data, nil, nil
		}
	}
}

// plausible reports whether data may be, or become, a request that is answered
// here.
func (l *Listener) plausible(data []byte) bool {
	if len(data) < len(get) {
		return bytes.HasPrefix(get, data)
	}
	return bytes.HasPrefix(data, get) && ordinaryLines(data) && l.known(data)
}

// ordinaryLines reports whether no line ends in LF alone, which net/http takes.
func ordinaryLines(data []byte) bool {
	return bytes.Count(data, lineEnd) == bytes.Count(data, lineEnd[1:])
}

// known reports whether the path of a request, as far as it has arrived, is or
// begins one of the listener's.
func (l *Listener) known(data []byte) bool {
	path := data[len(get)-1:]
	if end := bytes.IndexAny(path, "? \r\n"); end >= 0 {
		return slices.Contains(l.cfg.Paths, string(path[:end]))
	}
	return slices.ContainsFunc(l.cfg.Paths, func(known string) bool { return strings.HasPrefix(known, string(path)) })
}

// request returns the request of a plausible header, or nil when there is
// anything unusual about it. What net/http refuses is not let through.
func (l *Listener) request(conn net.Conn, data []byte) *http.Request {
	line, rest, _ := bytes.Cut(data, lineEnd)
	target, ordinary := strings.CutSuffix(string(line[len("GET "):]), " HTTP/1.1")
	if !ordinary {
		return nil
	}
	address, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	lines, _ := l.readers.Get().(*bufio.Reader)
	defer l.readers.Put(lines)
	lines.Reset(bytes.NewReader(rest))
	defer lines.Reset(nil)
	header, err := textproto.NewReader(lines).ReadMIMEHeader()
	if err != nil || !ordinaryHeader(http.Header(header)) {
		return nil
	}
	host := header.Get("Host")
	delete(header, "Host") // as in net/http
	return &http.Request{
		Method:     http.MethodGet,
		URL:        address,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header(header),
		Body:       http.NoBody,
		Host:       host,
		RequestURI: target,
		RemoteAddr: conn.RemoteAddr().String(),
	}
}

// ordinaryHeader reports whether a header asks for a WebSocket, is of a request
// without a body, and is none that net/http refuses.
func ordinaryHeader(header http.Header) bool {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return false
			}
		}
		switch name {
		case "Content-Length", "Transfer-Encoding", "Trailer", "Expect":
			return false
		}
	}
	hosts := header["Host"]
	return len(hosts) == 1 && httpguts.ValidHostHeader(hosts[0]) && httpguts.HeaderValuesContainsToken(header["Upgrade"], "websocket")
}
