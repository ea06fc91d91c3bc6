//go:build linux

package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// command is what a generator is told, one of these at a time.
type command struct {
	Open  *Plan  `json:",omitempty"`
	Reset bool   `json:",omitempty"`
	Churn *Churn `json:",omitempty"`
	Read  bool   `json:",omitempty"`
}

// answer is what it says to each.
type answer struct {
	Error  string `json:",omitempty"`
	Counts *Counts
}

// Main is the generator's process: it obeys what comes from in, until it ends.
func Main(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	l, err := newLoop()
	if err != nil {
		return err
	}
	defer l.close()
	commands := make(chan command)
	ended := make(chan error, 1)
	go func() {
		for decoder := json.NewDecoder(in); ; {
			var c command
			if err := decoder.Decode(&c); err != nil {
				ended <- err
				return
			}
			commands <- c
		}
	}()
	encoder := json.NewEncoder(out)
	for {
		select {
		case c := <-commands:
			if err := encoder.Encode(l.obey(c)); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		default:
			if err := l.turn(); err != nil {
				return fmt.Errorf("hold the connections: %w", err)
			}
		}
	}
}

func (l *loop) obey(c command) answer {
	switch {
	case c.Open != nil:
		if err := l.open(*c.Open); err != nil {
			return answer{Error: err.Error()}
		}
	case c.Churn != nil:
		l.begin(*c.Churn)
	case c.Reset:
		l.reset()
	case c.Read:
		counts := l.counts()
		return answer{Counts: &counts}
	}
	return answer{}
}
