package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// answerWithin is the longest time that one call may take.
const answerWithin = 45 * time.Second

var httpClient = &http.Client{Transport: &http.Transport{
	MaxIdleConnsPerHost: 64,
	DisableKeepAlives:   true, // connections of a killed node must not be used again
}}

// secret is the HS256 key of nodes that do not make their own.
const secret = "an end-to-end secret of more than 32 bytes"

// mint returns a token like an application's login. It does not use the code under test.
func mint(user string, ttl time.Duration, claims ...string) string {
	return mintWith(secret, user, ttl, claims...)
}

func mintWith(secret, user string, ttl time.Duration, claims ...string) string {
	segment := base64.RawURLEncoding.EncodeToString
	extra := ""
	if len(claims) > 0 {
		extra = "," + strings.Join(claims, ",")
	}
	payload := fmt.Sprintf(`{"sub":%q,"exp":%d%s}`, user, time.Now().Add(ttl).Unix(), extra)
	signed := segment([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + segment([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + segment(mac.Sum(nil))
}

// apiError is an error answer over HTTP or a socket.
type apiError struct {
	Status  int    `json:"status"` // only over HTTP
	Code    string `json:"code"`
	Detail  string `json:"detail"`  // HTTP
	Message string `json:"message"` // sockets
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s: %s%s", e.Status, e.Code, e.Detail, e.Message)
}

// api makes HTTP calls to one node as one user.
type api struct {
	base  string
	token string
	key   string // Idempotency-Key; empty: none
}

// under returns a copy of a with this idempotency key.
func (a api) under(key string) api {
	a.key = key
	return a
}

// do makes a call to /v1 and decodes the answer into out, unless out is nil. It returns a status
// of 400 or more as an *apiError.
func (a api) do(ctx context.Context, method, path string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.base+"/v1"+path, body)
	if err != nil {
		return 0, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.key != "" {
		req.Header.Set("Idempotency-Key", a.key)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		refusal := &apiError{Status: resp.StatusCode}
		if err := json.Unmarshal(text, refusal); err != nil || refusal.Code == "" {
			return resp.StatusCode, fmt.Errorf("%s %s: the answer with status %d is not a problem with a code: %s", method, path, resp.StatusCode, text)
		}
		return resp.StatusCode, refusal
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return resp.StatusCode, fmt.Errorf("%s %s: %w: %s", method, path, err, text)
	}
	return resp.StatusCode, nil
}

// must makes a call and expects this status.
func (a api) must(t *testing.T, status int, method, path string, in, out any) {
	t.Helper()
	got, err := a.do(t.Context(), method, path, in, out)
	if err != nil || got != status {
		t.Fatalf("%s %s%s: %d, %v; want %d", method, a.base, path, got, err, status)
	}
}

// mustRefuse makes a call and expects an error with this status and code.
func (a api) mustRefuse(t *testing.T, status int, code, method, path string, in any) {
	t.Helper()
	got, err := a.do(t.Context(), method, path, in, nil)
	checkRefusal(t, method+" "+a.base+path, err, code)
	if got != status {
		t.Errorf("%s %s%s: status %d, want %d", method, a.base, path, got, status)
	}
}

// checkRefusal reports a test error unless err is an error answer with this code.
func checkRefusal(t *testing.T, what string, err error, code string) {
	t.Helper()
	refusal, ok := err.(*apiError) //nolint:errorlint // exactly as it was returned
	if !ok || refusal.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// skipOrFail skips the test because something is missing. In CI it fails the test.
func skipOrFail(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// These types have the fields of the API that the tests read.
type (
	group struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Visibility  string `json:"visibility"`
		OwnerID     string `json:"ownerId"`
		MemberCount int    `json:"memberCount"`
		Version     int64  `json:"version"`
		Revision    int64  `json:"revision"`
	}
	member struct {
		UserID string `json:"userId"`
		Role   string `json:"role"`
		Status string `json:"status"`
	}
	event struct {
		GroupID string          `json:"groupId"`
		Version int64           `json:"version"`
		Type    string          `json:"type"`
		Actor   *string         `json:"actor"`
		Data    json.RawMessage `json:"data"`
		At      time.Time       `json:"at"`
	}
	page[T any] struct {
		Items      []T    `json:"items"`
		Version    int64  `json:"version"`
		NextCursor string `json:"nextCursor"`
	}
	subscription struct {
		Group    group           `json:"group"`
		Version  int64           `json:"version"`
		Presence json.RawMessage `json:"presence"`
		Snapshot bool            `json:"snapshot"`
	}
)

// object is a JSON object of a request.
type object = map[string]any
