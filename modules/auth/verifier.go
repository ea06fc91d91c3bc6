package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/moim-live/moim/internal/names"
	"github.com/moim-live/moim/modules/fault"
)

const (
	maxToken = 16 << 10         // bytes
	maxUser  = 128              // bytes of a user id
	maxName  = 256              // bytes of a name; a longer one is cut
	leeway   = 60 * time.Second // clock difference allowed for nbf and iat, not for exp
)

const (
	unreadable = "the token is not a JSON Web Token that can be read"
	expired    = "the token has expired"
)

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	cfg    Config // without secrets, which are in shared
	log    *slog.Logger
	shared atomic.Pointer[sharedKeys]
	public atomic.Pointer[jwk] // nil if not configured, and before its file is read
	jwks   *jwks               // nil if not configured
}

// New returns a Verifier with the keys of cfg. It does no I/O: [Verifier.Start]
// reads a key file and fetches keys.
func New(cfg Config, log *slog.Logger) (*Verifier, error) {
	cfg = cfg.WithDefaults()
	if cfg.Empty() {
		return nil, errors.New("auth: no key is set: auth.secret, auth.jwks.url or auth.public.key")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, log: log}
	v.SetSecrets(cfg.Secret, cfg.PreviousSecret)
	if isPEM(cfg.PublicKey) {
		key, err := parsePEM([]byte(cfg.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("auth.public.key: %w", err)
		}
		v.public.Store(key)
	}
	if cfg.JWKSURL != "" {
		v.jwks = newJWKS(cfg.JWKSURL, log)
	}
	return v, nil
}

// sharedKeys holds the shared secrets, and the parser for the algorithms of all keys.
type sharedKeys struct {
	keys   jwt.VerificationKeySet
	parser *jwt.Parser
}

// SetSecrets replaces [Config].Secret and PreviousSecret. They must be valid; either may be
// empty. Tokens that are being verified may still be accepted with the old secrets.
func (v *Verifier) SetSecrets(secret, previous string) {
	var s sharedKeys
	var methods []string
	for _, key := range []string{secret, previous} {
		if key != "" {
			s.keys.Keys = append(s.keys.Keys, []byte(key))
			methods = []string{"HS256"}
		}
	}
	if v.cfg.JWKSURL != "" || v.cfg.PublicKey != "" {
		methods = append(methods, "RS256", "ES256", "EdDSA")
	}
	s.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	v.shared.Store(&s)
}

// Start reads the key file and starts fetching keys. It does not wait for the keys, so that
// the node starts even if the key server is down.
func (v *Verifier) Start(context.Context) error {
	if v.cfg.PublicKey != "" && !isPEM(v.cfg.PublicKey) {
		key, err := readPEM(v.cfg.PublicKey)
		if err != nil {
			return err
		}
		v.public.Store(key)
	}
	if v.jwks != nil {
		v.jwks.start()
	}
	return nil
}

// Check reads the key file and fetches the keys once. It returns any error.
func (v *Verifier) Check(ctx context.Context) error {
	if v.cfg.PublicKey != "" && !isPEM(v.cfg.PublicKey) {
		if _, err := readPEM(v.cfg.PublicKey); err != nil {
			return err
		}
	}
	if v.jwks != nil {
		if _, err := v.jwks.fetch(ctx); err != nil {
			return fmt.Errorf("auth.jwks.url: %w", err)
		}
	}
	return nil
}

// Stop stops fetching, and waits for the end until ctx ends.
func (v *Verifier) Stop(ctx context.Context) error {
	if v.jwks == nil {
		return nil
	}
	return v.jwks.stop(ctx)
}

// Verify verifies a token and returns its identity. It returns
// fault.ErrUnauthorized with a message for the client, or fault.ErrUnavailable
// if the keys were never fetched. No error contains a part of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	switch {
	case token == "":
		return Identity{}, fault.ErrUnauthorized
	case len(token) > maxToken:
		return Identity{}, refuse("the token is too large")
	}
	var c claims
	shared := v.shared.Load()
	_, err := shared.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if t.Method.Alg() == "HS256" {
			return shared.keys, checkHeader(t)
		}
		return v.publicKeys(ctx, t)
	})
	if err != nil {
		return Identity{}, translate(err)
	}
	return v.identity(&c)
}

// checkHeader refuses a token whose header gives it another meaning.
func checkHeader(t *jwt.Token) error {
	if _, ok := t.Header["crit"]; ok {
		return refuse("the token needs an unknown extension")
	}
	return nil
}

// publicKeys returns the public keys that may verify a token's signature. It ignores
// keys in the token itself: jwk, jku and x5c.
func (v *Verifier) publicKeys(ctx context.Context, t *jwt.Token) (any, error) {
	if err := checkHeader(t); err != nil {
		return nil, err
	}
	alg := t.Method.Alg()
	var set jwt.VerificationKeySet
	if v.jwks != nil {
		kid, _ := t.Header["kid"].(string)
		keys, err := v.jwks.find(ctx, kid, alg)
		if err != nil && v.public.Load() == nil {
			return nil, err
		}
		for _, key := range keys {
			set.Keys = append(set.Keys, key)
		}
	}
	if p := v.public.Load(); p != nil && p.alg == alg {
		set.Keys = append(set.Keys, p.key)
	}
	if len(set.Keys) == 0 {
		return nil, refuse("the token is signed with an unknown key")
	}
	return set, nil
}

// identity makes the checks that the library does not make. It checks exp again, because
// the library also allows the leeway for exp.
func (v *Verifier) identity(c *claims) (Identity, error) {
	expires := c.ExpiresAt.Time
	switch {
	case !time.Now().Before(expires):
		return Identity{}, refuse(expired)
	case v.cfg.Issuer != "" && c.Issuer != v.cfg.Issuer:
		return Identity{}, refuse("the token's issuer is not accepted")
	case v.cfg.Audience != "" && !slices.Contains(c.Audience, v.cfg.Audience):
		return Identity{}, refuse("the token is for another audience")
	}
	if problem := checkUser(c.Subject); problem != "" {
		return Identity{}, refuse("the token's sub " + problem)
	}
	if word := misspelled(c.scopes); word != "" {
		return Identity{}, refuse(fmt.Sprintf("the token's scope has %.40q, which names no calls: the words for calls are %s", word, strings.Join(callWords[:], ", ")))
	}
	var issued time.Time
	if c.IssuedAt != nil {
		issued = c.IssuedAt.Time
	}
	return Identity{
		UserID: c.Subject, Name: cleanName(c.name), Admin: slices.Contains(c.scopes, "admin"), Expires: expires, Issued: issued,
		Calls: parseCalls(c.scopes),
	}, nil
}

// checkUser returns why a user id is invalid, or "".
func checkUser(id string) string {
	switch {
	case id == "":
		return "is missing"
	case len(id) > maxUser:
		return fmt.Sprintf("is longer than %d bytes", maxUser)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return "contains control characters"
	case !names.Visible(id) || names.Reorders(id):
		return "cannot be read: it has no visible character, or one that reorders text"
	case names.IsStep(id):
		return "is . or .., which no URL can name"
	}
	return ""
}

// cleanName returns a name in the form in which it is stored, cut to maxName.
func cleanName(name string) string {
	name = names.Clean(name)
	if len(name) <= maxName {
		return name
	}
	cut := maxName
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut]
}

func refuse(message string) *fault.Error { return fault.ErrUnauthorized.WithMessage(message) }

// translate returns the fault for an error of the library. It drops the library's text,
// which may quote the token.
func translate(err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && strings.Contains(err.Error(), "signing method"),
		errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse("the token's algorithm is not accepted")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("the token's signature is wrong")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse(unreadable)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("the token has no exp")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(expired)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse("the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse("the token was issued in the future")
	default:
		return refuse("the token is not valid")
	}
}
