package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// create creates a new file that only this user can read, and removes it if write fails.
func create(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: name a new file", err)
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	err = errors.Join(write(out), out.Flush(), file.Sync(), file.Close())
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}

// createAgain is create, but also accepts an existing file with the same text.
func createAgain(name string, write func(io.Writer) error) error {
	err := create(name, write)
	if errors.Is(err, os.ErrExist) && contains(name, write) {
		return nil
	}
	return err
}

// contains reports whether the file contains exactly what write writes.
func contains(name string, write func(io.Writer) error) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	there := bufio.NewReader(file)
	if err := write(comparison{there}); err != nil {
		return false
	}
	_, err = there.ReadByte()
	return errors.Is(err, io.EOF)
}

// comparison is a writer that fails at the first text that differs from with.
type comparison struct{ with io.Reader }

func (c comparison) Write(p []byte) (int, error) {
	there := make([]byte, len(p))
	if _, err := io.ReadFull(c.with, there); err != nil {
		return 0, err
	}
	if !bytes.Equal(there, p) {
		return 0, errors.New("the text differs")
	}
	return len(p), nil
}

// openInput opens a file that was given on the command line.
func openInput(name string) (*os.File, error) {
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		_ = file.Close()
		return nil, fmt.Errorf("%s is a directory: name a file", name)
	}
	return file, nil
}

// count returns a number with its noun, whose plural ends in s.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
