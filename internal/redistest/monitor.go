package redistest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Command is one command that a server executed.
type Command struct {
	Client string   // the client's address, or "lua" for a script's call
	Args   []string // the command's name, as the client wrote it, and its arguments
}

// Is reports whether the command has this name, in any case.
func (c Command) Is(name string) bool { return len(c.Args) > 0 && strings.EqualFold(c.Args[0], name) }

// markPrefix is the prefix of the texts that show a monitor that it is up to date.
const markPrefix = "redistest-mark-"

// Monitor records the commands that a server executes.
type Monitor struct {
	server *Server
	conn   net.Conn

	mu       sync.Mutex
	commands []Command
	marks    map[string]chan struct{}
	next     int
}

// Monitor starts to record. It ends with the test, or when the server is killed.
func (s *Server) Monitor() *Monitor {
	s.tb.Helper()
	var conn net.Conn
	var err error
	if config := s.TLSConfig(); config != nil {
		conn, err = tls.Dial("tcp", s.Addr(), config)
	} else {
		conn, err = net.Dial("tcp", s.Addr())
	}
	if err != nil {
		s.tb.Fatalf("redistest: monitor: %v", err)
	}
	m := &Monitor{server: s, conn: conn, marks: make(map[string]chan struct{})}
	r := bufio.NewReader(conn)
	if s.password != "" {
		m.call(r, strings.TrimSpace("AUTH "+s.user)+" "+s.password)
	}
	m.call(r, "MONITOR")
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.read(r)
	}()
	s.tb.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return m
}

// call sends an inline command whose answer is OK.
func (m *Monitor) call(r *bufio.Reader, command string) {
	m.server.tb.Helper()
	name, _, _ := strings.Cut(command, " ")
	if _, err := fmt.Fprintf(m.conn, "%s\r\n", command); err != nil {
		m.server.tb.Fatalf("redistest: monitor: %s: %v", name, err)
	}
	answer, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(answer, "+OK") {
		m.server.tb.Fatalf("redistest: monitor: %s answered %q, %v", name, answer, err)
	}
}

func (m *Monitor) read(r *bufio.Reader) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		command, ok := parseCommand(strings.TrimRight(line, "\r\n"))
		if !ok {
			continue
		}
		m.mu.Lock()
		if last := command.Args[len(command.Args)-1]; command.Is("echo") && strings.HasPrefix(last, markPrefix) {
			if mark := m.marks[last]; mark != nil {
				close(mark)
				delete(m.marks, last) // the client repeats the command if the answer is late
			}
		} else {
			m.commands = append(m.commands, command)
		}
		m.mu.Unlock()
	}
}

// Commands returns all commands that the server executed from the start of the monitor up
// to this call.
func (m *Monitor) Commands() []Command {
	tb := m.server.tb
	tb.Helper()
	m.mu.Lock()
	m.next++
	text, mark := markPrefix+strconv.Itoa(m.next), make(chan struct{})
	m.marks[text] = mark
	m.mu.Unlock()
	// The server reports commands in order, so once it reports this one, the list has all
	// earlier ones.
	if err := m.server.Client().Echo(tb.Context(), text).Err(); err != nil {
		tb.Fatalf("redistest: monitor: echo: %v", err)
	}
	select {
	case <-mark:
	case <-time.After(startTimeout):
		tb.Fatal("redistest: monitor: the server did not report a command")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Command(nil), m.commands...)
}

// parseCommand reads a line such as
//
//	+1700000000.123456 [0 127.0.0.1:50000] "publish" "moim:room:a" "x"
func parseCommand(line string) (Command, bool) {
	_, rest, ok := strings.Cut(line, " [")
	if !ok {
		return Command{}, false
	}
	source, rest, ok := strings.Cut(rest, "] ")
	if !ok {
		return Command{}, false
	}
	_, client, _ := strings.Cut(source, " ")
	c := Command{Client: client}
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return Command{}, false
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return Command{}, false
		}
		c.Args = append(c.Args, arg)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	return c, len(c.Args) > 0
}
