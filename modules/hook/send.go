package hook

import (
	"bytes"
	"context"
	"encoding/json"
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

const (
	// sendTimeout bounds a delivery, from dialing to the end of the answer.
	sendTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be used again.
	maxAnswer = 16 << 10
	// idleConns is how many connections to a receiver stay open between deliveries.
	idleConns = 16
)

// Sender sends deliveries over HTTP. It is safe for concurrent use.
type Sender struct {
	open, local http.RoundTripper // for https, and for http to this machine
	userAgent   string
	now         func() time.Time
}

var _ Destination = (*Sender)(nil)

// NewSender returns a sender, which may send to private networks as cfg says.
func NewSender(cfg Config, version string) *Sender {
	private := cfg.Private
	transport := func(allowed func(netip.Addr) bool) *http.Transport {
		return &http.Transport{
			DialContext:            dialer(allowed), // and no proxy: the address would be the proxy's
			TLSHandshakeTimeout:    sendTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    idleConns,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
		}
	}
	return &Sender{
		open:  transport(func(a netip.Addr) bool { s := scopeOf(a); return s == public || s == internal && private }),
		local: transport(func(a netip.Addr) bool { return private && a.Unmap().IsLoopback() }),

		userAgent: "Moim/" + version,
		now:       time.Now,
	}
}

// Close closes idle connections.
func (s *Sender) Close() {
	for _, t := range []http.RoundTripper{s.open, s.local} {
		if t, ok := t.(*http.Transport); ok {
			t.CloseIdleConnections()
		}
	}
}

// Deliver implements [Destination].
func (s *Sender) Deliver(ctx context.Context, h Hook, d Delivery) error {
	body, err := encode(d)
	if err != nil {
		return fmt.Errorf("encode a delivery: %w", err)
	}
	now := s.now()
	signature, err := sign(h.secrets(now), d.ID, now, body)
	if err != nil {
		return fmt.Errorf("sign a delivery: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.userAgent)
	req.Header.Set(headerID, d.ID)
	req.Header.Set(headerTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(headerSignature, signature)
	transport := s.open
	if req.URL.Scheme == "http" {
		transport = s.local
	}
	// A transport follows no redirect.
	res, err := transport.RoundTrip(req)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return &Refusal{Status: res.StatusCode, After: retryAfter(res.Header.Get("Retry-After"), now)}
	case err != nil:
		return explain(err)
	}
	return nil
}

// encode returns the body. It leaves the text of users as it is in the log.
func encode(d Delivery) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(d)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}

// explain returns an error of a transport in words that name no URL: it may contain a
// secret.
func explain(err error) error {
	var (
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.Is(err, errAddress):
		return errAddress
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &dns):
		return errors.New("the host cannot be found")
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", sendTimeout)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return errors.New("no answer: " + text[:min(len(text), 200)])
}
