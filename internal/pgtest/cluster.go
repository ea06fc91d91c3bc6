package pgtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeCluster makes the server's data folder. initdb takes a second of work and does the
// same each time, so the user's cache keeps what it made, and servers copy that.
func (s *Server) makeCluster(bin string) error {
	kept := keptCluster(bin)
	if _, err := os.Stat(kept); err == nil && copyFolder(kept, s.data()) == nil {
		return nil
	}
	if err := os.RemoveAll(s.data()); err != nil { // half a copy
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

// keptCluster returns where the cache has the data folder of this version of PostgreSQL,
// or is to have it. It is empty where there is no cache.
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

// keepCluster puts a copy of the new data folder into the cache, all at once. If it cannot,
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

// copyFolder copies a folder with owners and permissions, on which PostgreSQL insists.
func copyFolder(from, to string) error {
	return exec.CommandContext(context.Background(), "cp", "-a", from, to).Run()
}
