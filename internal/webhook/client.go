package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options configure a [Client].
type Options struct {
	Private   bool          // allow private and loopback addresses; link-local ones are never allowed
	Timeout   time.Duration // for a request, until the end of the answer
	Idle      int           // idle connections to a receiver that are kept
	MaxAnswer int           // bytes of an answer's body that are read
	UserAgent string
}

// Client posts signed requests. It follows no redirects. It is safe for concurrent use.
type Client struct {
	open, local http.RoundTripper // open is for https, local is for http to this machine
	options     Options
}

// NewClient returns a client.
func NewClient(o Options) *Client {
	transport := func(allowed func(netip.Addr) bool) *http.Transport {
		return &http.Transport{
			DialContext:            dialer(o.Timeout, allowed), // no proxy: only the proxy's address could be checked
			TLSHandshakeTimeout:    o.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    o.Idle,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
		}
	}
	return &Client{open: transport(o.mayOpen), local: transport(o.mayLocal), options: o}
}

// mayOpen reports whether https requests may go to an address, and mayLocal whether http
// requests may.
func (o Options) mayOpen(a netip.Addr) bool {
	s := scopeOf(a)
	return s == public || s == internal && o.Private
}

func (o Options) mayLocal(a netip.Addr) bool { return o.Private && a.Unmap().IsLoopback() }

// Check connects to a receiver like [Client.Post], but sends nothing.
func (c *Client) Check(ctx context.Context, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	secure, allowed, port := u.Scheme == "https", c.options.mayLocal, "80"
	if secure {
		allowed, port = c.options.mayOpen, "443"
	}
	conn, err := dialer(c.options.Timeout, allowed)(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = conn.Close() }()
	if !secure {
		return nil
	}
	if err := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}).HandshakeContext(ctx); err != nil {
		return c.explain(err)
	}
	return nil
}

// Close closes idle connections.
func (c *Client) Close() {
	for _, t := range []http.RoundTripper{c.open, c.local} {
		if t, ok := t.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
}

// Request is a body for a receiver.
type Request struct {
	URL     string
	ID      string   // the same for a repeat
	Secrets []string // each one signs
	Body    []byte   // JSON
}

// Answer is the answer of a receiver.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Cut    bool // the body is longer than what was read
}

// Post sends a request. Its errors contain no URL, which may contain a secret. If the
// header of the answer arrived, Status is set even if Post returns an error.
func (c *Client) Post(ctx context.Context, r Request) (Answer, error) {
	now := time.Now()
	signature, err := sign(r.Secrets, r.ID, now, r.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("sign a request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.options.UserAgent)
	req.Header.Set(headerID, r.ID)
	req.Header.Set(headerTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(headerSignature, signature)
	transport := c.open
	if req.URL.Scheme == "http" {
		transport = c.local
	}
	// A transport follows no redirects.
	res, err := transport.RoundTrip(req)
	if err != nil {
		return Answer{}, c.explain(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := Answer{Status: res.StatusCode, Header: res.Header}
	a.Body, err = io.ReadAll(io.LimitReader(res.Body, int64(c.options.MaxAnswer)+1))
	if a.Cut = len(a.Body) > c.options.MaxAnswer; a.Cut {
		a.Body = a.Body[:c.options.MaxAnswer]
	}
	if err != nil {
		return a, c.explain(err)
	}
	return a, nil
}

// explain returns a readable error for an error of a transport.
func (c *Client) explain(err error) error {
	var (
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.Is(err, ErrAddress):
		return ErrAddress
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &dns):
		return errors.New("the host cannot be found")
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", c.options.Timeout)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return errors.New("no answer: " + text[:min(len(text), 200)])
}
