package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// minSecret is the minimum length of an HS256 key in bytes: the size of a SHA-256 hash.
const minSecret = 32

// Config determines which tokens are accepted. Several kinds of key may be set.
type Config struct {
	Secret         string `key:"secret" secret:"true" help:"shared secret (HS256) of at least 32 bytes"`
	PreviousSecret string `key:"secret.previous" secret:"true" help:"previous shared secret, during a change: tokens signed with it are accepted, too"`

	JWKSURL        string        `key:"jwks.url" help:"URL of a JSON Web Key Set with public keys for RS256, ES256 or EdDSA"`
	PublicKey      string        `key:"public.key" help:"public key for RS256, ES256 or EdDSA: PEM text, or the path of a PEM file"`
	Issuer         string        `key:"issuer" help:"required iss claim of tokens; empty: not checked"`
	RevocationKeep time.Duration `key:"revocation.keep" help:"how long a revocation of tokens is kept; set it to the longest lifetime of your tokens"`
	Audience       string        `key:"audience" help:"required aud claim of tokens; empty: not checked"`
}

// WithDefaults returns a copy with the defaults in place of zero values.
func (c Config) WithDefaults() Config {
	if c.RevocationKeep == 0 {
		c.RevocationKeep = 90 * 24 * time.Hour
	}
	return c
}

// Empty reports whether no key is set. Then no token can be verified.
func (c Config) Empty() bool { return c.Secret == "" && c.JWKSURL == "" && c.PublicKey == "" }

// Validate returns all mistakes. The text contains no secret.
func (c Config) Validate() error {
	var errs []error
	if c.Secret != "" && len(c.Secret) < minSecret {
		errs = append(errs, fmt.Errorf("auth.secret: it has %d bytes and must have at least %d", len(c.Secret), minSecret))
	}
	switch previous := c.PreviousSecret; {
	case previous == "":
	case c.Secret == "":
		errs = append(errs, errors.New("auth.secret.previous: auth.secret must be set, too"))
	case len(previous) < minSecret:
		errs = append(errs, fmt.Errorf("auth.secret.previous: it has %d bytes and must have at least %d", len(previous), minSecret))
	}
	if c.JWKSURL != "" {
		if u, err := url.Parse(c.JWKSURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			errs = append(errs, errors.New("auth.jwks.url: it must be an http:// or https:// URL"))
		}
	}
	if c.RevocationKeep < 0 || c.RevocationKeep > 100*365*24*time.Hour {
		errs = append(errs, errors.New("auth.revocation.keep: it must be between 0 and a hundred years"))
	}
	if isPEM(c.PublicKey) {
		if _, err := parsePEM([]byte(c.PublicKey)); err != nil {
			errs = append(errs, fmt.Errorf("auth.public.key: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Warning returns a warning about a configuration that accepts more tokens than probably
// intended, or "".
func (c Config) Warning() string {
	if c.JWKSURL != "" && c.Issuer == "" && c.Audience == "" {
		return "auth.jwks.url: all tokens of that server are accepted, also those for other applications; set auth.audience or auth.issuer"
	}
	return ""
}

// isPEM reports whether s is a key rather than a path.
func isPEM(s string) bool { return strings.Contains(s, "-----BEGIN") }

func readPEM(path string) (*jwk, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth.public.key: it is not PEM text, and reading it as a file failed: %w", err)
	}
	key, err := parsePEM(data)
	if err != nil {
		return nil, fmt.Errorf("auth.public.key: %s: %w", path, err)
	}
	return key, nil
}

func parsePEM(data []byte) (*jwk, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it contains no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	default:
		return nil, fmt.Errorf("it contains a %s, but must contain a PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("parse its %s: %w", block.Type, err)
	}
	alg := algorithm(key)
	if alg == "" {
		return nil, errors.New("its key must be RSA (at least 2048 bits), P-256 or Ed25519")
	}
	return &jwk{key: key, alg: alg}, nil
}

// algorithm returns the only algorithm for which a key is accepted, or "" if the key is not
// accepted. One algorithm per key prevents algorithm confusion (RFC 8725, section 3.1).
func algorithm(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return "RS256"
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return "ES256"
		}
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}
