package pgtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeCluster creates the server's data folder. initdb takes a second and always does the
// same, so its result is kept in the user's cache and copied.
func (s *Server) makeCluster(bin string) error {
	kept := keptCluster(bin)
	if _, err := os.Stat(kept); err == nil && copyFolder(kept, s.data()) == nil {
		return nil
	}
	if err := os.RemoveAll(s.data()); err != nil { // an incomplete copy
		return err
	}
	cmd := exec.CommandContext(s.tb.Context(), filepath.Join(bin, "initdb"), "-D", s.data(),
		"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = s.log, s.log
	prepare(cmd)
	if err := cmd.Run(); err != nil {
		return err
	}
	s.keepCluster(kept)
	return nil
}

// keptCluster returns the place in the cache for the data folder of this version of
// PostgreSQL. It returns "" if there is no cache.
func keptCluster(bin string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	version, err := exec.CommandContext(context.Background(), filepath.Join(bin, "initdb"), "--version").Output()
	if err != nil {
		return ""
	}
	name := strings.NewReplacer(" ", "-", "(", "", ")", "", "/", "-").Replace(strings.TrimSpace(string(version)))
	return filepath.Join(cache, "moim-pgtest", name)
}

// keepCluster puts a copy of the new data folder into the cache atomically. If this fails,
// the next server calls initdb again.
func (s *Server) keepCluster(kept string) {
	if kept == "" || os.MkdirAll(filepath.Dir(kept), 0o755) != nil {
		return
	}
	dir, err := os.MkdirTemp(filepath.Dir(kept), "new")
	if err != nil {
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if copyFolder(s.data(), filepath.Join(dir, "data")) == nil {
		_ = os.Rename(filepath.Join(dir, "data"), kept) // fails if another process was first
	}
}

// copyFolder copies a folder with owners and permissions, which PostgreSQL requires.
func copyFolder(from, to string) error {
	return exec.CommandContext(context.Background(), "cp", "-a", from, to).Run()
}
