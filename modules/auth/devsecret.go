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

// secretFile is the name of the file in the data directory.
const secretFile = "dev-secret"

// DevelopmentSecret returns the HS256 key of a node without a configured key: the text of
// the file dev-secret in dir. If the file does not exist, it creates the file and dir, and
// created is true. Concurrent processes get the same secret.
func DevelopmentSecret(dir string) (secret []byte, created bool, err error) {
	path := filepath.Join(dir, secretFile)
	secret, err = readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("create the data directory: %w", err)
	}
	created, err = writeSecret(path)
	if err != nil {
		return nil, false, fmt.Errorf("create the development secret: %w", err)
	}
	secret, err = readSecret(path) // another process may have created it
	return secret, created, err
}

func readSecret(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the development secret: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != minSecret {
		return nil, fmt.Errorf("the development secret %s is damaged: it must contain %d hexadecimal digits; "+
			"delete it to create a new one, which invalidates all tokens signed with it", path, 2*minSecret)
	}
	return []byte(text), nil
}

// writeSecret creates the file atomically, unless there is one.
func writeSecret(path string) (created bool, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), secretFile+".*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(newSecret()) // without a line break, because other programs may use the contents unchanged
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return false, err
	}
	err = os.Link(tmp.Name(), path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		return false, nil
	default: // the file system has no hard links
		return true, os.Rename(tmp.Name(), path)
	}
}

func newSecret() string {
	raw := make([]byte, minSecret)
	_, _ = rand.Read(raw) // it never fails
	return hex.EncodeToString(raw)
}
