package database

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var errLocked = errors.New("locked by another process")

// fileLock keeps other processes from opening a SQLite file. release does not delete the
// lock file, because otherwise two processes could each lock a file of that name.
type fileLock struct{ f *os.File }

// lockFile locks path.lock. If path is a symbolic link, it locks the file next to the
// link's target. Its error names the process that holds the lock.
func lockFile(path string) (*fileLock, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		owner := readOwner(f)
		_ = f.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("another moim%s has %s open: stop it first. A SQLite file serves one process at a time; use PostgreSQL for more", owner, path)
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // for another process's error message
	}
	return &fileLock{f: f}, nil
}

func readOwner(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

func (l *fileLock) release() { _ = l.f.Close() }
