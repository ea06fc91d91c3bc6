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
)

// minSecret is how many bytes an HS256 key must have: those of its hash.
const minSecret = 32

// Config says which tokens are accepted. Several kinds of key may be set at
// once.
type Config struct {
	Secret    string `key:"secret" secret:"true" help:"HS256 key, at least 32 bytes"`
	JWKSURL   string `key:"jwks.url" help:"where the public keys for RS256, ES256 and EdDSA are fetched"`
	PublicKey string `key:"public.key" help:"public key for RS256, ES256 or EdDSA: PEM text or the path of a PEM file"`
	Issuer    string `key:"issuer" help:"iss that tokens must have; empty: not checked"`
	Audience  string `key:"audience" help:"aud that tokens must have; empty: not checked"`
}

// WithDefaults returns a copy with defaults in place of zero values: there are
// none.
func (c Config) WithDefaults() Config { return c }

// Empty reports that no key is set: no token can be verified.
func (c Config) Empty() bool { return c.Secret == "" && c.JWKSURL == "" && c.PublicKey == "" }

// Validate reports all mistakes at once, never with a secret in the text.
func (c Config) Validate() error {
	var errs []error
	if c.Secret != "" && len(c.Secret) < minSecret {
		errs = append(errs, fmt.Errorf("auth.secret: it has %d bytes and must have at least %d", len(c.Secret), minSecret))
	}
	if c.JWKSURL != "" {
		if u, err := url.Parse(c.JWKSURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			errs = append(errs, errors.New("auth.jwks.url: it must be an http:// or https:// URL"))
		}
	}
	if isPEM(c.PublicKey) {
		if _, err := parsePEM([]byte(c.PublicKey)); err != nil {
			errs = append(errs, fmt.Errorf("auth.public.key: %w", err))
		}
	}
	return errors.Join(errs...)
}

// isPEM tells a key's text from a file's name.
func isPEM(s string) bool { return strings.Contains(s, "-----BEGIN") }

func readPEM(path string) (crypto.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth.public.key: it is no PEM text, so it must be a file: %w", err)
	}
	key, err := parsePEM(data)
	if err != nil {
		return nil, fmt.Errorf("auth.public.key: %s: %w", path, err)
	}
	return key, nil
}

func parsePEM(data []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it holds no PEM block")
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
		return nil, fmt.Errorf("it holds a %s where a PUBLIC KEY is needed", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its %s cannot be read: %w", block.Type, err)
	}
	if algorithm(key) == "" {
		return nil, errors.New("its key must be RSA (at least 2048 bits), P-256 or Ed25519")
	}
	return key, nil
}

// algorithm returns the only algorithm that a key is good for, or nothing for
// a key that is not accepted. A key that is not bound to one algorithm invites
// confusion between them.
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
