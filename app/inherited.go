package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/moim-live/moim/config"
)

// inherited are sockets that the service manager has opened, by the configuration key whose
// address they replace: see sd_listen_fds(3).
type inherited map[string]net.Listener

// firstInherited is the descriptor of the first socket.
const firstInherited = 3

// inheritedKeys are the configuration keys by the name of a socket.
var inheritedKeys = map[string]string{"http": "http.addr", "metrics": "metrics.addr", "debug": "debug.addr"}

var errInherited = errors.New("LISTEN_FDS: give one socket, or name each with FileDescriptorName=http, metrics or debug, and each once")

// inherit takes the sockets in the environment's variables. It removes the variables, so
// that child processes do not use the same sockets.
func inherit() (inherited, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	n, _ := strconv.Atoi(count) // 0 if it is not a number
	if pid != strconv.Itoa(os.Getpid()) || n <= 0 {
		return inherited{}, nil
	}
	keys, err := keysOf(n, names)
	if err != nil {
		return nil, err
	}
	given := inherited{}
	for i, key := range keys {
		listener, err := listenerOf(os.NewFile(uintptr(firstInherited+i), key))
		if err != nil {
			return nil, fmt.Errorf("LISTEN_FDS: the socket for %s %w", key, err)
		}
		given[key] = listener
	}
	return given, nil
}

var (
	errNoListener = errors.New("does not accept connections: use ListenStream=ADDRESS:PORT without Accept=yes")
	errNotTCP     = errors.New("is not of TCP: use ListenStream=ADDRESS:PORT")
)

// listenerOf returns the listener of a socket, and closes the file.
func listenerOf(socket *os.File) (net.Listener, error) {
	defer func() { _ = socket.Close() }()
	if !listens(socket) {
		return nil, errNoListener
	}
	listener, err := net.FileListener(socket) // a duplicate that child processes do not inherit
	if err != nil {
		return nil, fmt.Errorf("cannot be used: %w", err)
	}
	if _, ok := listener.Addr().(*net.TCPAddr); !ok {
		return nil, errors.Join(errNotTCP, listener.Close())
	}
	return listener, nil
}

// keysOf returns the key of each socket. A single socket without a known name is for
// http.addr.
func keysOf(n int, names string) ([]string, error) {
	named := strings.Split(names, ":")
	if n == 1 {
		if key, ok := inheritedKeys[named[0]]; ok {
			return []string{key}, nil
		}
		return []string{"http.addr"}, nil
	}
	var keys []string
	seen := map[string]bool{}
	for _, name := range named {
		key, ok := inheritedKeys[name]
		if !ok || seen[name] {
			return nil, errInherited
		}
		seen[name] = true
		keys = append(keys, key)
	}
	if len(keys) != n {
		return nil, errInherited
	}
	return keys, nil
}

// in returns cfg with the addresses of the sockets, so that the checks of addresses apply
// to them.
func (i inherited) in(cfg config.Config) config.Config {
	for key, addr := range map[string]*string{"http.addr": &cfg.HTTP.Addr, "metrics.addr": &cfg.Metrics.Addr, "debug.addr": &cfg.Debug.Addr} {
		if l := i[key]; l != nil {
			*addr = l.Addr().String()
		}
	}
	return cfg
}

// listen returns the socket for a key, or opens one at addr.
func (i inherited) listen(ctx context.Context, key, addr string) (net.Listener, error) {
	if l := i[key]; l != nil {
		return l, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}
