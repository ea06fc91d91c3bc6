package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const (
	firstWait = 100 * time.Millisecond
	longWait  = 10 * time.Second
	// maxAnswer is the maximum size of an answer that is read into memory, in bytes.
	maxAnswer = 16 << 20
)

// CallOption changes one call.
type CallOption func(*request)

// Key sets the idempotency key of a POST, or of an edit or deletion of a message. For 24
// hours, a call with the same key returns the first answer. Set a key if another process
// may repeat the call; otherwise each call has a random key.
func Key(key string) CallOption {
	return func(r *request) { r.header.Set("Idempotency-Key", key) }
}

// IfRevision makes a change of a group fail with the code version_conflict if the group
// does not have this revision.
func IfRevision(revision int64) CallOption {
	return func(r *request) {
		r.header.Set("If-Match", strconv.Quote(strconv.FormatInt(revision, 10)))
		r.conditional = true
	}
}

// RevokeInvites sets whether to revoke the invites of a member who is removed, banned or
// demoted. By default, the invites of a demoted member stay, and the others are revoked.
func RevokeInvites(revoke bool) CallOption {
	return func(r *request) { r.query.Set("revokeInvites", strconv.FormatBool(revoke)) }
}

// request is one call.
type request struct {
	method string
	path   string // escaped, without /v1
	query  url.Values
	header http.Header
	body   []byte

	conditional bool // a repeat of a successful change would fail, or its answer would be incomplete
	wrong       error
}

// newRequest returns a call whose path has args in place of each %s. It refuses "", "." and
// "..": even if they are escaped, a proxy may interpret them as path steps, which leads to
// another call.
func newRequest(method, path string, args ...string) *request {
	r := &request{method: method, query: url.Values{}, header: http.Header{}}
	escaped := make([]any, len(args))
	for i, a := range args {
		if a == "" || a == "." || a == ".." {
			r.wrong = fmt.Errorf("%s %s: %q cannot be part of a path", method, path, a)
		}
		escaped[i] = url.PathEscape(a)
	}
	r.path = fmt.Sprintf(path, escaped...)
	return r
}

// with sets the body and the options.
func (r *request) with(body any, opts []CallOption) (*request, error) {
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		r.body = data
		r.header.Set("Content-Type", "application/json")
	}
	for _, opt := range opts {
		opt(r)
	}
	if r.method == http.MethodPost && r.header.Get("Idempotency-Key") == "" {
		r.header.Set("Idempotency-Key", uuid.NewString())
	}
	return r, nil
}

// call makes a call and returns its answer.
func call[T any](ctx context.Context, c *Client, r *request, body any, opts []CallOption) (answer T, err error) {
	r, err = r.with(body, opts)
	if err != nil {
		return answer, err
	}
	res, err := c.do(ctx, r)
	if err != nil {
		return answer, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer, fmt.Errorf("read the answer of %s %s: %w", r.method, r.path, err)
	}
	if len(data) > maxAnswer {
		return answer, fmt.Errorf("the answer of %s %s is longer than %d bytes", r.method, r.path, maxAnswer)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return answer, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if c.strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(&answer); err != nil {
		return answer, fmt.Errorf("decode the answer of %s %s: %w", r.method, r.path, err)
	}
	return answer, nil
}

// tell makes a call without an answer.
func tell(ctx context.Context, c *Client, r *request, body any, opts []CallOption) error {
	_, err := call[struct{}](ctx, c, r, body, opts)
	return err
}

// do sends a request until the server accepts it, refuses it permanently, or no attempts
// are left. The caller must close the body of the response.
func (c *Client) do(ctx context.Context, r *request) (*http.Response, error) {
	if r.wrong != nil {
		return nil, r.wrong
	}
	lost := false // an earlier attempt may have been carried out
	for attempt := 1; ; attempt++ {
		res, err := c.send(ctx, r)
		if err == nil {
			return res, nil
		}
		refused, answered := errors.AsType[*Error](err)
		if lost && r.method == http.MethodDelete && answered && refused.Status == http.StatusNotFound {
			return &http.Response{Body: http.NoBody}, nil // the earlier attempt has deleted it
		}
		wait, again := delay(err, attempt)
		if r.conditional {
			again = again && answered && refused.Status == http.StatusTooManyRequests
		}
		if !again || attempt >= c.attempts || ctx.Err() != nil {
			return nil, err
		}
		lost = lost || !answered || refused.Status >= http.StatusInternalServerError
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// delay returns the wait before the next attempt, and whether to make one.
func delay(err error, attempt int) (time.Duration, bool) {
	backoff := min(firstWait<<(attempt-1), longWait)
	backoff = backoff/2 + rand.N(backoff/2+1)
	refused, answered := errors.AsType[*Error](err)
	if !answered {
		_, sent := errors.AsType[*url.Error](err)
		return backoff, sent
	}
	switch refused.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return max(backoff, refused.RetryAfter), refused.RetryAfter <= longWait
	default:
		return 0, false
	}
}

// send makes one attempt.
func (c *Client) send(ctx context.Context, r *request) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make the request %s %s: %w", r.method, r.path, err)
	}
	req.Header = r.header.Clone()
	token, err := c.tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < http.StatusMultipleChoices {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, refusal(res)
}

// refusal parses the problem in a response. An answer of a proxy is not a problem.
func refusal(res *http.Response) *Error {
	e := &Error{}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil || json.Unmarshal(data, e) != nil || e.Code == "" {
		e = &Error{Code: "http_" + strconv.Itoa(res.StatusCode), Detail: "the answer is not Moim's: " + http.StatusText(res.StatusCode)}
		if to := res.Header.Get("Location"); to != "" && res.StatusCode < http.StatusBadRequest {
			e.Detail += ". Redirects are not followed: give the client the URL to which this one leads, " + to
		}
	}
	e.Status = res.StatusCode
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
