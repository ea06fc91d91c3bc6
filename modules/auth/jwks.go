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

	"github.com/moim-live/moim/modules/fault"
)

const (
	maxJWKS     = 1 << 20 // bytes of an answer
	maxKeys     = 100     // keys of an answer that are kept
	maxAnonKeys = 10      // keys that are tried for a token without kid
)

// jwks holds the public keys that a server publishes. Keys once fetched keep
// working while the server is down.
type jwks struct {
	url    string
	shown  string // the URL without what may be secret in it
	client *http.Client
	log    *slog.Logger

	every    time.Duration // between fetches
	retry    time.Duration // after the first failed fetch; doubles up to a minute
	minAge   time.Duration // between fetches that unknown key ids ask for
	patience time.Duration // that a token waits for such a fetch

	poke chan struct{}

	mu      sync.Mutex
	keys    []jwk
	loaded  bool
	tried   time.Time
	flight  chan struct{} // closed when the fetch asked for is done; nil: none is
	cancel  context.CancelFunc
	done    chan struct{}
	stopped bool
}

type jwk struct {
	id  string
	alg string
	key crypto.PublicKey
}

func newJWKS(address string, log *slog.Logger) *jwks {
	shown := "jwks"
	if u, err := url.Parse(address); err == nil {
		shown = u.Scheme + "://" + u.Host + u.Path
	}
	return &jwks{
		url:   address,
		shown: shown,
		client: &http.Client{
			Timeout: 10 * time.Second,
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				if len(via) > 3 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
					return errors.New("the redirect is not followed")
				}
				return nil
			},
		},
		log:      log,
		every:    10 * time.Minute,
		retry:    2 * time.Second,
		minAge:   10 * time.Second,
		patience: 3 * time.Second,
		poke:     make(chan struct{}, 1),
	}
}

func (j *jwks) start() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done != nil || j.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel, j.done = cancel, make(chan struct{})
	j.flight = make(chan struct{})
	go j.run(ctx, j.done)
}

func (j *jwks) stop(ctx context.Context) error {
	j.mu.Lock()
	j.stopped = true
	cancel, done := j.cancel, j.done
	j.mu.Unlock()
	if done == nil {
		return nil
	}
	cancel()
	defer j.client.CloseIdleConnections()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the fetch of %s: %w", j.shown, ctx.Err())
	}
}

// find returns the keys for a token: the one with its kid, or, without a kid,
// all of its algorithm. An unknown kid asks for a fetch, seldom, and waits for
// it a little.
func (j *jwks) find(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	found, loaded := j.lookup(kid, alg)
	if len(found) > 0 {
		return found, nil
	}
	if j.refresh(ctx) {
		found, loaded = j.lookup(kid, alg)
	}
	if len(found) == 0 && !loaded {
		return nil, fault.ErrUnavailable.WithMessage("the keys that tokens are verified with cannot be fetched; try again")
	}
	return found, nil
}

func (j *jwks) lookup(kid, alg string) (found []crypto.PublicKey, loaded bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range j.keys {
		if k.alg == alg && (kid == "" || k.id == kid) && len(found) < maxAnonKeys {
			found = append(found, k.key)
		}
	}
	return found, j.loaded
}

// refresh waits for a fetch under way, or for one that it asks for, and
// reports whether there was one. Strangers send unknown key ids at will, so
// it asks only once in a while.
func (j *jwks) refresh(ctx context.Context) bool {
	j.mu.Lock()
	if j.done == nil || j.stopped || j.flight == nil && time.Since(j.tried) < j.minAge {
		j.mu.Unlock()
		return false
	}
	if j.flight == nil {
		j.flight = make(chan struct{})
		j.poke <- struct{}{} // empty: a flight is pending as long as it is full
	}
	flight := j.flight
	j.mu.Unlock()

	timer := time.NewTimer(j.patience)
	defer timer.Stop()
	select {
	case <-flight:
	case <-ctx.Done():
	case <-timer.C:
	}
	return true
}

// run makes all fetches, one after the other.
func (j *jwks) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	retry := j.retry
	for {
		wait := j.every
		keys, err := j.fetch(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			wait = min(retry, j.every)
			retry = min(2*retry, time.Minute)
			j.log.Warn("auth: the keys could not be fetched; those known go on", "url", j.shown, "err", err)
		default:
			retry = j.retry
			j.log.Debug("auth: fetched keys", "url", j.shown, "keys", len(keys))
		}
		j.landed(keys, err)

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

func (j *jwks) landed(keys []jwk, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.keys, j.loaded = keys, true
	}
	j.tried = time.Now()
	if j.flight != nil {
		select {
		case <-j.poke: // asked for while this fetch was under way
		default:
		}
		close(j.flight)
		j.flight = nil
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
			err = e.Err // without the URL
		}
		return nil, fmt.Errorf("ask for keys: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(data) > maxJWKS {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxJWKS)
	}
	return parseJWKS(data)
}

// parseJWKS keeps the keys that can verify a token, and leaves out all others.
func parseJWKS(data []byte) ([]jwk, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("the answer is not a JSON Web Key Set")
	}
	var keys []jwk
	for _, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", "" // the library would fetch what x5u names
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
		return nil, errors.New("the answer holds no key for RS256, ES256 or EdDSA")
	}
	return keys, nil
}
