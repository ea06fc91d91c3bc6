package auth

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile is the development secret's name in the data directory.
const secretFile = "dev-secret"

// DevelopmentSecret returns the secret that a node without any auth key signs
// and verifies with: the text of the file dev-secret in dir, which it makes,
// with dir, when there is none. created says that it did. Processes that call
// it at once get the same secret.
func DevelopmentSecret(dir string) (secret []byte, created bool, err error) {
	path := filepath.Join(dir, secretFile)
	secret, err = readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the data directory: %w", err)
	}
	created, err = writeSecret(path)
	if err != nil {
		return nil, false, fmt.Errorf("make the development secret: %w", err)
	}
	secret, err = readSecret(path) // perhaps another process's
	return secret, created, err
}

func readSecret(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the development secret: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != minSecret {
		return nil, fmt.Errorf("the development secret %s is damaged: it must hold %d hexadecimal digits; "+
			"delete it and a new one is made, which ends all tokens signed with it", path, 2*minSecret)
	}
	return []byte(text), nil
}

// writeSecret puts a whole file in place, unless there is one.
func writeSecret(path string) (created bool, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), secretFile+".*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(newSecret() + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return false, err
	}
	err = os.Link(tmp.Name(), path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		return false, nil
	default: // a file system without hard links
		return true, os.Rename(tmp.Name(), path)
	}
}

func newSecret() string {
	raw := make([]byte, minSecret)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}
