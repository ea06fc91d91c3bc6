//go:build linux

package naked

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

// Serve runs a node on addr, alone or with those on the same Redis.
func Serve(addr, redisAddr string) error {
	s := &server{rooms: make(map[string]*room)}
	if redisAddr != "" {
		s.redis = redis.NewClient(&redis.Options{Addr: redisAddr})
		s.channels = s.redis.Subscribe(context.Background())
		go s.receive()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/ws", s.join)
	mux.HandleFunc("/poll", s.poll)
	mux.HandleFunc("/publish", s.publish)
	return (&http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: time.Minute}).ListenAndServe()
}

type server struct {
	redis    *redis.Client // nil: alone
	channels *redis.PubSub

	mu      sync.Mutex
	rooms   map[string]*room
	pollers []*poller // by session id
}

// room is those who are in it here.
type room struct {
	mu      sync.Mutex
	members []*member
	pollers []*poller // on one node alone
}

type member struct {
	conn net.Conn // keeps fd open
	fd   int
}

func (s *server) room(name string) (r *room, created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rooms[name]
	if !ok {
		r = &room{}
		s.rooms[name] = r
	}
	return r, !ok
}

// join upgrades a connection and puts it into a room.
func (s *server) join(w http.ResponseWriter, r *http.Request) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "cannot upgrade", http.StatusInternalServerError)
		return
	}
	key := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as RFC 6455 has it
	name := r.URL.Query().Get("room")
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	m, err := newMember(conn)
	if err != nil {
		_ = conn.Close()
		return
	}
	in, created := s.room(name)
	if created && s.redis != nil {
		if err := s.channels.Subscribe(context.Background(), name); err != nil {
			_ = conn.Close()
			return
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.members = append(in.members, m)
	m.write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(key[:]) + "\r\n\r\n"))
}

func newMember(conn net.Conn) (*member, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.New("not TCP")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	m := &member{conn: conn}
	err = raw.Control(func(fd uintptr) { m.fd = int(fd) })
	return m, err
}

// publish sends a body to a room, here and on the other nodes.
func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := r.URL.Query().Get("room")
	if s.redis == nil {
		s.deliver(name, body)
	} else if err := s.redis.Publish(r.Context(), name, body).Err(); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (s *server) receive() {
	for {
		got, err := s.channels.Receive(context.Background())
		if errors.Is(err, redis.ErrClosed) {
			return
		}
		if m, ok := got.(*redis.Message); ok {
			s.deliver(m.Channel, []byte(m.Payload))
		}
	}
}

func (s *server) deliver(name string, payload []byte) {
	r, _ := s.room(name)
	frame := frameOf(payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		m.write(frame)
	}
	for _, p := range r.pollers {
		p.send(payload)
	}
}

// write gives what does not fit into the socket's buffer to a slower path.
func (m *member) write(data []byte) {
	n, err := unix.Write(m.fd, data)
	if err == nil && n == len(data) {
		return
	}
	if err == nil || errors.Is(err, unix.EAGAIN) {
		_, _ = m.conn.Write(data[max(0, n):])
	}
}

func frameOf(payload []byte) []byte {
	n := len(payload)
	frame := make([]byte, 0, n+4)
	if n < 126 {
		frame = append(frame, 0x81, byte(n))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 0x81, 126), uint16(n))
	}
	return append(frame, payload...)
}
