package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
)

// fetchEvery and rememberFor limit how long tokens of a withdrawn key are accepted: 30
// seconds, including the fetch.
const fetchEvery = 15 * time.Second

const (
	maxJWKS     = 1 << 20 // bytes of a key set
	maxKeys     = 100     // keys of a key set
	maxAnonKeys = 10      // keys that are tried for a token without a kid
)

// jwks fetches the public keys of a server: a JSON Web Key Set (RFC 7517). While the server
// is down, it keeps the last keys.
type jwks struct {
	url    string
	logURL string // without credentials and query
	client *http.Client
	log    *slog.Logger

	every   time.Duration // interval of fetches
	backoff time.Duration // wait after the first failed fetch; doubles up to a minute
	minAge  time.Duration // minimum time between fetches for unknown key ids
	maxWait time.Duration // how long a token waits for such a fetch

	fetches *tasks.Group
	poke    chan struct{}

	mu        sync.Mutex
	keys      []jwk
	fetched   bool // there was at least one successful fetch
	triedAt   time.Time
	requested chan struct{} // closed after the requested fetch; nil if none is requested
	started   bool
}

// jwk is a public key.
type jwk struct {
	id  string // kid
	alg string
	key crypto.PublicKey
}

func newJWKS(address string, log *slog.Logger) *jwks {
	logURL := "jwks"
	if u, err := url.Parse(address); err == nil {
		logURL = u.Scheme + "://" + u.Host + u.Path
	}
	return &jwks{
		url:    address,
		logURL: logURL,
		client: &http.Client{
			Timeout: 10 * time.Second,
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				if len(via) > 3 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
					return errors.New("the redirect is not followed")
				}
				return nil
			},
		},
		log:     log,
		every:   fetchEvery,
		backoff: 2 * time.Second,
		minAge:  10 * time.Second,
		maxWait: 3 * time.Second,
		fetches: tasks.New(),
		poke:    make(chan struct{}, 1),
	}
}

func (j *jwks) start() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.started {
		return
	}
	j.started = true
	j.requested = make(chan struct{})
	j.fetches.Run(j.run)
}

func (j *jwks) stop(ctx context.Context) error {
	defer j.client.CloseIdleConnections()
	if err := j.fetches.Stop(ctx); err != nil {
		return fmt.Errorf("wait for the fetch of %s: %w", j.logURL, err)
	}
	return nil
}

// find returns the keys for a token: the key with its kid or, without a kid, all keys for
// its algorithm. If the kid is unknown, find waits for a fetch, which it requests at most
// once per minAge.
func (j *jwks) find(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	found, fetched := j.lookup(kid, alg)
	if len(found) > 0 {
		return found, nil
	}
	if j.refresh(ctx) {
		found, fetched = j.lookup(kid, alg)
	}
	if len(found) == 0 && !fetched {
		return nil, fault.ErrUnavailable.WithMessage("the keys that verify tokens are not available yet; try again")
	}
	return found, nil
}

func (j *jwks) lookup(kid, alg string) (found []crypto.PublicKey, fetched bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.keys {
		if k.alg == alg && (kid == "" || k.id == kid) && len(found) < maxAnonKeys {
			found = append(found, k.key)
		}
	}
	return found, j.fetched
}

// refresh waits for the requested fetch, or requests one. It returns false if it may not
// request one yet: anyone can send unknown key ids, so it requests at most one fetch per
// minAge.
func (j *jwks) refresh(ctx context.Context) bool {
	j.mu.Lock()
	stopped := !j.started || j.fetches.Context().Err() != nil
	if stopped || j.requested == nil && time.Since(j.triedAt) < j.minAge {
		j.mu.Unlock()
		return false
	}
	if j.requested == nil {
		j.requested = make(chan struct{})
		j.poke <- struct{}{} // does not block, because no fetch is requested
	}
	requested := j.requested
	j.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, j.maxWait)
	defer cancel()
	select {
	case <-requested:
	case <-ctx.Done():
	}
	return true
}

// run fetches the keys every 15 seconds and on request.
func (j *jwks) run(ctx context.Context) {
	backoff := j.backoff
	for {
		wait := j.every
		keys, err := j.fetch(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			wait = min(backoff, j.every)
			backoff = min(2*backoff, time.Minute)
			j.log.WarnContext(ctx, "auth: the keys could not be fetched; the last ones stay valid", "url", j.logURL, "err", err)
		default:
			backoff = j.backoff
			j.log.DebugContext(ctx, "auth: fetched keys", "url", j.logURL, "keys", len(keys))
		}
		j.store(keys, err)

		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-j.poke:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (j *jwks) store(keys []jwk, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.keys, j.fetched = keys, true
	}
	j.triedAt = time.Now()
	if j.requested != nil {
		select {
		case <-j.poke: // a request during this fetch, which has served it
		default:
		}
		close(j.requested)
		j.requested = nil
	}
}

func (j *jwks) fetch(ctx context.Context) ([]jwk, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, errors.New("the URL is malformed")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := j.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the inner error does not contain the URL
		}
		return nil, fmt.Errorf("request keys: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server responded with %s", res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(data) > maxJWKS {
		return nil, fmt.Errorf("the key set is larger than %d bytes", maxJWKS)
	}
	return parseJWKS(data)
}

// parseJWKS returns the keys of a key set that can verify tokens. It ignores others.
func parseJWKS(data []byte) ([]jwk, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("the response is not a JSON Web Key Set")
	}
	var keys []jwk
	for _, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", "" // otherwise the library would fetch the URL in x5u
		parsed, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil {
			continue
		}
		key := parsed.Key()
		alg := algorithm(key)
		if alg == "" || m.ALG != "" && m.ALG.String() != alg {
			continue
		}
		if keys = append(keys, jwk{id: m.KID, alg: alg, key: key}); len(keys) == maxKeys {
			break
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set contains no key for RS256, ES256 or EdDSA")
	}
	return keys, nil
}
