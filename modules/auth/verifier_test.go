package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

var (
	rsaKey, _     = rsa.GenerateKey(rand.Reader, 2048)
	rsaOther, _   = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _      = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _   = ed25519.GenerateKey(rand.Reader)
	p384Key, _    = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsaPEM        = publicPEM(rsaKey.Public())
	discard       = slog.New(slog.DiscardHandler)
	errUnauth     = fault.ErrUnauthorized
	hs256, rs256  = jwt.SigningMethodHS256, jwt.SigningMethodRS256
	es256, edDSA  = jwt.SigningMethodES256, jwt.SigningMethodEdDSA
	hs384, rs384  = jwt.SigningMethodHS384, jwt.SigningMethodRS384
	noneAlgorithm = jwt.SigningMethodNone
)

func publicPEM(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// base returns the claims of a valid token with these changes. A nil value deletes the claim.
func base(changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range changes {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims, headers ...map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	for _, h := range headers {
		maps.Copy(token.Header, h)
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, cfg auth.Config) *auth.Verifier {
	t.Helper()
	v, err := auth.New(cfg, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Stop(t.Context()) })
	return v
}

func TestClaims(t *testing.T) {
	t.Parallel()
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	now := time.Now().Unix()
	checked := auth.Config{Secret: secret, Issuer: "https://id.example", Audience: "moim"}
	tests := []struct {
		name   string
		cfg    auth.Config // empty: only the secret
		claims jwt.MapClaims
		want   auth.Identity
		says   string // a part of the message; empty: accepted
	}{
		{name: "plain", want: auth.Identity{UserID: "alice"}},
		{name: "name", claims: jwt.MapClaims{"name": " Alice\nLiddell\x00 "}, want: auth.Identity{UserID: "alice", Name: "AliceLiddell"}},
		{name: "long name", claims: jwt.MapClaims{"name": strings.Repeat("가", 100)}, want: auth.Identity{UserID: "alice", Name: strings.Repeat("가", 85)}},
		{name: "admin", claims: jwt.MapClaims{"scope": "read admin"}, want: auth.Identity{UserID: "alice", Admin: true}},
		{name: "admin in a list", claims: jwt.MapClaims{"scope": []string{"read", "admin"}}, want: auth.Identity{UserID: "alice", Admin: true}},
		{name: "calls", claims: jwt.MapClaims{"scope": "openid groups:read messages:write"}, want: auth.Identity{UserID: "alice", Calls: auth.ReadGroups | auth.WriteMessages}},
		{name: "calls of a back end", claims: jwt.MapClaims{"scope": []string{"admin", "users:write"}}, want: auth.Identity{UserID: "alice", Admin: true, Calls: auth.WriteUsers}},
		{name: "scopes of others", claims: jwt.MapClaims{"scope": "admin payments:write read:users https://x.example/groups:x offline"}, want: auth.Identity{UserID: "alice", Admin: true}},
		{name: "misspelled action", claims: jwt.MapClaims{"scope": "admin groups:reed"}, says: `scope has "groups:reed"`},
		{name: "misspelled resource", claims: jwt.MapClaims{"scope": "group:read"}, says: `scope has "group:read"`},
		{name: "misspelled case", claims: jwt.MapClaims{"scope": "admin groups:read Audit:Read"}, says: `scope has "Audit:Read"`},
		{name: "administrator", claims: jwt.MapClaims{"scope": "administrator"}, want: auth.Identity{UserID: "alice"}},
		{name: "scope of another type", claims: jwt.MapClaims{"scope": 1}, says: "scope must be text"},
		{name: "expired", claims: jwt.MapClaims{"exp": now - 6}, says: "has expired"},
		{name: "expired just now", claims: jwt.MapClaims{"exp": now}, says: "has expired"},
		{name: "no exp", claims: jwt.MapClaims{"exp": nil}, says: "no exp"},
		{name: "exp no number", claims: jwt.MapClaims{"exp": "soon"}, says: "exp must be a number"},
		{name: "exp with a fraction", claims: jwt.MapClaims{"exp": float64(exp.Unix()) + 0.75}, want: auth.Identity{UserID: "alice", Expires: exp.Add(750 * time.Millisecond)}},
		{name: "exp as text", claims: jwt.MapClaims{"exp": strconv.FormatInt(exp.Unix(), 10)}, says: "exp must be a number"},
		{name: "exp beyond all numbers", claims: jwt.MapClaims{"exp": json.Number("1e999")}, says: "exp must be a number"},
		{name: "exp of another age", claims: jwt.MapClaims{"exp": 1e300}, says: "not in milliseconds"},
		{name: "exp in milliseconds", claims: jwt.MapClaims{"exp": exp.UnixMilli()}, says: "exp must be in seconds since 1970, not in milliseconds"},
		{name: "iat of another age", claims: jwt.MapClaims{"iat": 1e300}, says: "not in milliseconds"},
		{name: "iat in milliseconds", claims: jwt.MapClaims{"iat": exp.UnixMilli()}, says: "iat must be in seconds"},
		{name: "nbf beyond all times", claims: jwt.MapClaims{"nbf": json.Number("9223372036854775807")}, says: "nbf must be in seconds"},
		{name: "jti of another type", claims: jwt.MapClaims{"jti": 7}, want: auth.Identity{UserID: "alice"}},
		{name: "expired and for another audience", cfg: checked, claims: jwt.MapClaims{"iss": "https://id.example", "aud": "moimo", "exp": now - 6}, says: "has expired"},
		{name: "expired and not valid yet", claims: jwt.MapClaims{"exp": now - 100, "nbf": now + 100}, says: "has expired"},
		{name: "nbf no number", claims: jwt.MapClaims{"nbf": true}, says: "nbf must be a number"},
		{name: "nbf soon", claims: jwt.MapClaims{"nbf": now + 50}, want: auth.Identity{UserID: "alice"}},
		{name: "nbf later", claims: jwt.MapClaims{"nbf": now + 70}, says: "not valid yet"},
		{name: "iat later", claims: jwt.MapClaims{"iat": now + 70}, says: "future"},
		{name: "no sub", claims: jwt.MapClaims{"sub": nil}, says: "sub is missing"},
		{name: "empty sub", claims: jwt.MapClaims{"sub": ""}, says: "sub is missing"},
		{name: "sub no string", claims: jwt.MapClaims{"sub": 7}, says: "sub must be text"},
		{name: "name no string", claims: jwt.MapClaims{"name": []string{"Alice"}}, says: "name must be text"},
		{name: "name null", claims: jwt.MapClaims{"name": json.RawMessage("null")}, want: auth.Identity{UserID: "alice"}},
		{name: "exp before 1970", claims: jwt.MapClaims{"exp": -5}, says: "exp is before 1970"},
		{name: "iat", claims: jwt.MapClaims{"iat": 1700000000.5}, want: auth.Identity{UserID: "alice", Issued: time.UnixMilli(1700000000500)}},
		{name: "Scope", claims: jwt.MapClaims{"Scope": "admin", "SCOPE": "admin", "ſcope": "admin"}, want: auth.Identity{UserID: "alice"}},
		{name: "Sub", claims: jwt.MapClaims{"sub": nil, "Sub": "alice"}, says: "sub is missing"},
		{name: "Exp", claims: jwt.MapClaims{"exp": nil, "EXP": exp.Unix()}, says: "no exp"},
		{name: "long sub", claims: jwt.MapClaims{"sub": strings.Repeat("x", 129)}, says: "longer than 128"},
		{name: "longest sub", claims: jwt.MapClaims{"sub": strings.Repeat("x", 128)}, want: auth.Identity{UserID: strings.Repeat("x", 128)}},
		{name: "sub with a line break", claims: jwt.MapClaims{"sub": "a\nb"}, says: "control characters"},
		{name: "sub that nobody can see", claims: jwt.MapClaims{"sub": "\u3164\u200b"}, says: "cannot be read"},
		{name: "sub that reorders text", claims: jwt.MapClaims{"sub": "\u202enimda"}, says: "cannot be read"},
		{name: "sub that is a step in a path", claims: jwt.MapClaims{"sub": ".."}, says: "no URL can name"},
		{name: "sub with NUL", claims: jwt.MapClaims{"sub": "a\x00b"}, says: "control characters"},
		{name: "iss and aud", cfg: checked, claims: jwt.MapClaims{"iss": "https://id.example", "aud": "moim"}, want: auth.Identity{UserID: "alice"}},
		{name: "aud in a list", cfg: checked, claims: jwt.MapClaims{"iss": "https://id.example", "aud": []string{"x", "moim"}}, want: auth.Identity{UserID: "alice"}},
		{name: "wrong iss", cfg: checked, claims: jwt.MapClaims{"iss": "https://id.evil", "aud": "moim"}, says: "issuer"},
		{name: "no iss", cfg: checked, claims: jwt.MapClaims{"aud": "moim"}, says: "issuer"},
		{name: "wrong aud", cfg: checked, claims: jwt.MapClaims{"iss": "https://id.example", "aud": "moimo"}, says: "audience"},
		{name: "no aud", cfg: checked, claims: jwt.MapClaims{"iss": "https://id.example"}, says: "audience"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			if cfg.Empty() {
				cfg.Secret = secret
			}
			changes := jwt.MapClaims{"exp": exp.Unix()}
			for k, v := range tt.claims {
				changes[k] = v
			}
			token := sign(t, hs256, []byte(secret), base(changes))
			got, err := open(t, cfg).Verify(t.Context(), token)
			if tt.says != "" {
				refused(t, err, token, tt.says)
				return
			}
			if tt.want.Expires.IsZero() {
				tt.want.Expires = exp
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func refused(t *testing.T, err error, token, says string) {
	t.Helper()
	if !errors.Is(err, errUnauth) {
		t.Fatalf("got %v", err)
	}
	matched := false
	for part := range strings.SplitSeq(says, "|") {
		matched = matched || strings.Contains(err.Error(), part)
	}
	if !matched {
		t.Errorf("message %q does not say %q", err, says)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 4 && strings.Contains(err.Error(), part) {
			t.Errorf("message %q holds a part of the token", err)
		}
	}
}

// TestAClaimOccursOnce checks that a token with a claim that occurs twice is refused, because
// programs read such a token in different ways.
func TestAClaimOccursOnce(t *testing.T) {
	t.Parallel()
	v := open(t, auth.Config{Secret: secret})
	for _, extra := range []string{`"sub":"mallory"`, `"scope":"admin","scope":"read"`, `"x":1,"\u0078":2`} {
		payload := `{"sub":"alice","exp":` + strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10) + `,` + extra + `}`
		token := hmacWith(secret, `{"alg":"HS256"}`, "."+base64.RawURLEncoding.EncodeToString([]byte(payload)))
		_, err := v.Verify(t.Context(), token)
		refused(t, err, token, "a claim twice")
	}
}

// hmacWith signs a token without the library, which refuses some keys.
func hmacWith(key, header string, token string) string {
	body := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + strings.Split(token, ".")[1]
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestForgeries(t *testing.T) {
	t.Parallel()
	good := sign(t, hs256, []byte(secret), base(nil))
	parts := strings.Split(good, ".")
	jwkHeader := map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(rsaOther.N.Bytes()), "e": "AQAB"}
	both := auth.Config{Secret: secret, PublicKey: rsaPEM}
	public := auth.Config{PublicKey: rsaPEM}
	tests := []struct {
		name  string
		cfg   auth.Config
		token string
		says  string
	}{
		{"none", both, sign(t, noneAlgorithm, jwt.UnsafeAllowNoneSignatureType, base(nil)), "algorithm"},
		{"None", both, hmacWith(secret, `{"alg":"None"}`, good), "algorithm"},
		{"no alg", both, hmacWith(secret, `{"typ":"JWT"}`, good), "algorithm"},
		{"RS256 to HS256, public key as secret", public, hmacWith(rsaPEM, `{"alg":"HS256"}`, good), "algorithm"},
		{"RS256 to HS256 where both serve", both, hmacWith(rsaPEM, `{"alg":"HS256"}`, good), "signature"},
		{"HS384", both, sign(t, hs384, []byte(secret), base(nil)), "algorithm"},
		{"RS384", both, sign(t, rs384, rsaKey, base(nil)), "algorithm"},
		{"another algorithm of the same kinds", both, sign(t, es256, ecKey, base(nil)), "unknown key"},
		{"another secret", both, sign(t, hs256, []byte("fedcba9876543210fedcba9876543210"), base(nil)), "signature"},
		{"empty secret", public, sign(t, hs256, []byte(""), base(nil)), "algorithm"},
		{"another key", both, sign(t, rs256, rsaOther, base(nil)), "signature"},
		{"key in the header", both, sign(t, rs256, rsaOther, base(nil), map[string]any{"jwk": jwkHeader}), "signature"},
		{"key's address in the header", both, sign(t, rs256, rsaOther, base(nil), map[string]any{"jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/c.pem"}), "signature"},
		{"critical extension", both, sign(t, rs256, rsaKey, base(nil), map[string]any{"crit": []string{"exp"}}), "extension"},
		{"empty signature", both, parts[0] + "." + parts[1] + ".", "signature"},
		{"signature of another token", both, parts[0] + "." + strings.Split(sign(t, hs256, []byte(secret), base(jwt.MapClaims{"sub": "mallory"})), ".")[1] + "." + parts[2], "signature"},
		{"two parts", both, parts[0] + "." + parts[1], "can be read"},
		{"four parts", both, good + ".x", "can be read"},
		{"not base64", both, "§§.§§.§§", "can be read"},
		{"garbage", both, "hello", "can be read"},
		{"100 KB", both, good + strings.Repeat("A", 100<<10), "too large"},
		{"empty", both, "", "valid token is needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, tt.cfg).Verify(t.Context(), tt.token)
			refused(t, err, tt.token, tt.says)
		})
	}
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte(rsaPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)}))
	for _, tt := range []struct {
		name   string
		key    string
		method jwt.SigningMethod
		signer any
	}{
		{"RSA", rsaPEM, rs256, rsaKey},
		{"RSA, PKCS 1", pkcs1, rs256, rsaKey},
		{"RSA in a file", file, rs256, rsaKey},
		{"EC", publicPEM(ecKey.Public()), es256, ecKey},
		{"Ed25519", publicPEM(edKey.Public()), edDSA, edKey},
	} {
		v := open(t, auth.Config{PublicKey: tt.key})
		if id, err := v.Verify(t.Context(), sign(t, tt.method, tt.signer, base(nil))); err != nil || id.UserID != "alice" {
			t.Errorf("%s: %+v, %v", tt.name, id, err)
		}
		if _, err := v.Verify(t.Context(), sign(t, hs256, []byte(secret), base(nil))); !errors.Is(err, errUnauth) {
			t.Errorf("%s takes HS256: %v", tt.name, err)
		}
	}

	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"small RSA": publicPEM(&small.PublicKey),
		"P-384":     publicPEM(p384Key.Public()),
		"private":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"damaged":   strings.Replace(rsaPEM, "M", "N", 1),
		"cut":       rsaPEM[:100],
	} {
		if _, err := auth.New(auth.Config{PublicKey: key}, discard); err == nil || !strings.Contains(err.Error(), "auth.public.key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	v, err := auth.New(auth.Config{PublicKey: filepath.Join(t.TempDir(), "none.pem")}, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Start(t.Context()); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if !(auth.Config{Issuer: "x"}).Empty() || (auth.Config{Secret: "x"}).Empty() {
		t.Error("Empty is wrong")
	}
	if _, err := auth.New(auth.Config{}, discard); err == nil {
		t.Error("no key was accepted")
	}
	err := (auth.Config{Secret: "hunter2", JWKSURL: "ftp://x", PublicKey: "-----BEGIN X"}).Validate()
	for _, key := range []string{"auth.secret", "auth.jwks.url", "auth.public.key"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named in %v", key, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the secret is in the error")
	}
}
