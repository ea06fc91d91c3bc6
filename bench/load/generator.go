//go:build linux

package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Generator controls the process of a generator. It is not safe for concurrent use.
type Generator struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	encoder *json.Encoder
	decoder *json.Decoder
}

// Start starts a program that calls [Main]. nice, from 0 to 19, lowers the priority of the
// process: see nice(1).
func Start(nice int, program string, args ...string) (*Generator, error) {
	cmd := exec.Command("nice", append([]string{"-n", strconv.Itoa(nice), program}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the load generator: %w", err)
	}
	return &Generator{cmd: cmd, in: in, encoder: json.NewEncoder(in), decoder: json.NewDecoder(out)}, nil
}

// PID returns the id of the process.
func (g *Generator) PID() int { return g.cmd.Process.Pid }

// Open opens all connections and returns once they are subscribed.
func (g *Generator) Open(plan Plan) error {
	_, err := g.ask(command{Open: &plan})
	return err
}

// Churn lets clients come and go from now on. A zero Churn ends this.
func (g *Generator) Churn(churn Churn) error {
	_, err := g.ask(command{Churn: &churn})
	return err
}

// Reset resets the counts.
func (g *Generator) Reset() error {
	_, err := g.ask(command{Reset: true})
	return err
}

// Read returns the counts.
func (g *Generator) Read() (Counts, error) {
	a, err := g.ask(command{Read: true})
	if err != nil {
		return Counts{}, err
	}
	return *a.Counts, nil
}

func (g *Generator) ask(c command) (answer, error) {
	var a answer
	if err := g.encoder.Encode(c); err != nil {
		return a, fmt.Errorf("ask the load generator: %w", err)
	}
	if err := g.decoder.Decode(&a); err != nil {
		return a, fmt.Errorf("hear the load generator: %w", err)
	}
	if a.Error == "" && c.Read && a.Counts == nil {
		a.Error = "it counted nothing"
	}
	if a.Error != "" {
		return a, errors.New("load generator: " + a.Error)
	}
	return a, nil
}

// Close closes all connections and ends the process.
func (g *Generator) Close() error {
	_ = g.in.Close()
	return g.cmd.Wait()
}
