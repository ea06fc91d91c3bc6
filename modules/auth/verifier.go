package auth

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/moim-live/moim/modules/fault"
)

const (
	maxToken = 16 << 10         // bytes
	maxUser  = 128              // bytes of a user id
	maxName  = 256              // bytes of a name; a longer one is cut
	leeway   = 60 * time.Second // of clocks, for nbf and iat; exp is exact
)

const (
	unreadable = "the token is not a JSON Web Token that can be read"
	expired    = "the token has expired"
)

// latest bounds exp, so that times stay representable everywhere.
var latest = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Verifier turns tokens into identities. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	log    *slog.Logger
	parser *jwt.Parser
	public atomic.Pointer[publicKey]
	jwks   *jwks // nil: none
}

type publicKey struct {
	key crypto.PublicKey
	alg string
}

// New returns a Verifier for the keys that cfg names. A secret and a key given
// as text serve at once; a file is read, and keys are fetched, by
// [Verifier.Start].
func New(cfg Config, log *slog.Logger) (*Verifier, error) {
	cfg = cfg.WithDefaults()
	if cfg.Empty() {
		return nil, errors.New("auth: no key is set: auth.secret, auth.jwks.url or auth.public.key")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, log: log}
	var methods []string
	if cfg.Secret != "" {
		methods = append(methods, "HS256")
	}
	if cfg.JWKSURL != "" || cfg.PublicKey != "" {
		methods = append(methods, "RS256", "ES256", "EdDSA")
	}
	v.parser = jwt.NewParser(jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway))
	if isPEM(cfg.PublicKey) {
		key, err := parsePEM([]byte(cfg.PublicKey))
		if err != nil {
			return nil, fmt.Errorf("auth.public.key: %w", err)
		}
		v.public.Store(&publicKey{key: key, alg: algorithm(key)})
	}
	if cfg.JWKSURL != "" {
		v.jwks = newJWKS(cfg.JWKSURL, log)
	}
	return v, nil
}

// Start reads the key's file and begins to fetch keys. It does not wait for
// them: the node starts while their server is down.
func (v *Verifier) Start(context.Context) error {
	if v.cfg.PublicKey != "" && !isPEM(v.cfg.PublicKey) {
		key, err := readPEM(v.cfg.PublicKey)
		if err != nil {
			return err
		}
		v.public.Store(&publicKey{key: key, alg: algorithm(key)})
	}
	if v.jwks != nil {
		v.jwks.start()
	}
	return nil
}

// Stop ends fetching and waits for it.
func (v *Verifier) Stop(ctx context.Context) error {
	if v.jwks == nil {
		return nil
	}
	return v.jwks.stop(ctx)
}

// claims are what a token says. The library checks the times.
type claims struct {
	jwt.RegisteredClaims

	ID    any    `json:"jti"` // not used, so it may have any type
	Name  string `json:"name"`
	Scope scopes `json:"scope"`
}

var _ jwt.ClaimsValidator = (*claims)(nil)

var errDate = errors.New("a date is out of range")

// Validate refuses dates that cannot be represented. They overflow when the
// library decodes them, which makes them lie far before 1970.
func (c *claims) Validate() error {
	for _, date := range []*jwt.NumericDate{c.ExpiresAt, c.NotBefore, c.IssuedAt} {
		if date != nil && date.Before(time.Unix(0, 0)) {
			return errDate
		}
	}
	return nil
}

// scopes is a list, or one string with spaces between.
type scopes []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scopes) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*s = strings.Fields(one)
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}

func (s scopes) has(name string) bool {
	for _, scope := range s {
		if scope == name {
			return true
		}
	}
	return false
}

// Verify returns whom a token speaks for. Its errors are
// fault.ErrUnauthorized with a message for the client, or
// fault.ErrUnavailable when the keys could never be fetched; none holds any
// part of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	switch {
	case token == "":
		return Identity{}, fault.ErrUnauthorized
	case len(token) > maxToken:
		return Identity{}, refuse("the token is too large")
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) { return v.keys(ctx, t) })
	if err != nil {
		return Identity{}, translate(err)
	}
	return v.identity(&c)
}

// keys returns the keys that a token's signature may be checked with. Nothing
// in the token brings a key of its own: jwk, jku and x5c are not looked at.
func (v *Verifier) keys(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, refuse("the token needs an extension that is not known")
	}
	alg := t.Method.Alg()
	if alg == "HS256" {
		return []byte(v.cfg.Secret), nil
	}
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

// identity checks what the library does not. The library allows for the leeway in
// exp, too.
func (v *Verifier) identity(c *claims) (Identity, error) {
	expires := c.ExpiresAt.Time
	switch {
	case !time.Now().Before(expires):
		return Identity{}, refuse(expired)
	case v.cfg.Issuer != "" && c.Issuer != v.cfg.Issuer:
		return Identity{}, refuse("the token's issuer is not accepted")
	case v.cfg.Audience != "" && !scopes(c.Audience).has(v.cfg.Audience):
		return Identity{}, refuse("the token is for another audience")
	}
	if problem := checkUser(c.Subject); problem != "" {
		return Identity{}, refuse("the token's sub " + problem)
	}
	if expires.After(latest) {
		expires = latest
	}
	return Identity{UserID: c.Subject, Name: cleanName(c.Name), Admin: c.Scope.has("admin"), Expires: expires}, nil
}

// checkUser returns what is wrong with a user id.
func checkUser(id string) string {
	switch {
	case id == "":
		return "is missing"
	case len(id) > maxUser:
		return fmt.Sprintf("is longer than %d bytes", maxUser)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return "holds control characters"
	}
	return ""
}

// cleanName makes a name fit to show: no control characters, and not endless.
func cleanName(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, name))
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

// translate leaves out the library's text: it may quote the token.
func translate(err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && strings.Contains(err.Error(), "signing method"):
		return refuse("the token's algorithm is not accepted")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("the token's signature is wrong")
	case errors.Is(err, jwt.ErrTokenMalformed), errors.Is(err, errDate):
		return refuse(unreadable)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("the token has no exp")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(expired)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse("the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse("the token was issued in the future")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse("the token's algorithm is not accepted")
	default:
		return refuse("the token is not valid")
	}
}
