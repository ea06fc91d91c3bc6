package nodes

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

const (
	// reachWithin limits the time to connect to another node.
	reachWithin = 2 * time.Second

	// ForwardHeader carries the signature of a request that another node has forwarded.
	ForwardHeader = "Moim-Forwarded"

	// maxIdleForwards is the maximum number of idle connections to each other node.
	maxIdleForwards = 64
)

// Forwarder passes requests of polling sessions to the nodes that have the sessions, so
// that a load balancer may send them to any node.
type Forwarder struct {
	// Answered, if it is not nil, is called when another node has accepted a request. Set
	// it before the first request.
	Answered func(r *http.Request)

	nodes     *Directory
	transport *http.Transport
	ctx       context.Context //nolint:containedctx // ends forwarded requests
	cancel    context.CancelFunc
}

// NewForwarder returns a forwarder. answerWithin is the time that another node has to
// answer.
func NewForwarder(n *Directory, answerWithin time.Duration) *Forwarder {
	ctx, cancel := context.WithCancel(context.Background())
	return &Forwarder{nodes: n, ctx: ctx, cancel: cancel, transport: &http.Transport{
		MaxIdleConnsPerHost:   maxIdleForwards,
		IdleConnTimeout:       time.Minute,
		DialContext:           (&net.Dialer{Timeout: reachWithin}).DialContext,
		TLSHandshakeTimeout:   reachWithin,
		ResponseHeaderTimeout: answerWithin,
	}}
}

// Stop ends all requests that are being forwarded.
func (f *Forwarder) Stop() {
	f.cancel()
	f.transport.CloseIdleConnections()
}

// Verify returns false for a request that claims to be forwarded but is not.
func (f *Forwarder) Verify(r *http.Request) bool {
	header := r.Header.Values(ForwardHeader)
	return len(header) == 0 || len(header) == 1 && hmac.Equal([]byte(header[0]), []byte(signature(f.nodes.self.Key, r)))
}

func signature(key []byte, r *http.Request) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(r.Method + " " + r.URL.RawQuery)) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Forward passes a request to a node. It returns false if the node is not known, or if
// another node has already forwarded the request. If the node does not answer, the client
// is told that its session is unknown, and opens a new one.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, node string, unknown http.Handler) bool {
	p, known := f.nodes.reachable(node)
	if !known || r.Header.Get(ForwardHeader) != "" {
		return false
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)() // a draining node does not wait for others
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})  // the other node has its own deadlines;
	_ = control.SetWriteDeadline(time.Time{}) // an error means that there are none here
	proxy := &httputil.ReverseProxy{
		Transport:     f.transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // a client or node that leaves is not an error
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(p.url)
			pr.Out.Host = pr.In.Host // the other node compares it with the origin
			pr.Out.Header.Set(ForwardHeader, signature(p.Key, pr.In))
		},
		ModifyResponse: func(answer *http.Response) error {
			clear(w.Header()) // the other node has set the same headers
			if f.Answered != nil && answer.StatusCode < http.StatusBadRequest {
				f.Answered(r)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				unknown.ServeHTTP(w, r)
			}
		},
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	return true
}

// CheckURL returns an error for a URL that other nodes cannot use.
func CheckURL(nodeURL string) error {
	u, err := url.Parse(nodeURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("node.url: it must be http://HOST:PORT or https://HOST:PORT")
	}
	return nil
}
