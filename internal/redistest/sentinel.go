package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/waittest"
)

// masterName is the name under which Sentinels know the master.
const masterName = "moim-test"

// Trio is a master, a replica of it, and three Sentinels that watch them.
type Trio struct {
	Servers   [2]*Server // the master at the start, and its replica
	Sentinels [3]*Server

	tb testing.TB
}

// StartTrio runs a trio until the test ends. If the master does not answer for a second, the
// Sentinels replace it.
func StartTrio(tb testing.TB) *Trio {
	tb.Helper()
	t := &Trio{tb: tb}
	t.Servers[0] = Start(tb)
	t.Servers[1] = Start(tb, WithConfig("replicaof "+words(t.Servers[0].Addr())), WithConfig("repl-diskless-sync-delay 0"))
	waittest.Until(tb, "the replica follows", func() bool {
		return strings.Contains(t.Servers[1].Client().Info(tb.Context(), "replication").Val(), "master_link_status:up")
	})
	for i := range t.Sentinels {
		t.Sentinels[i] = Start(tb, asSentinel,
			WithConfig(fmt.Sprintf("sentinel monitor %s %s 2", masterName, words(t.Servers[0].Addr()))),
			WithConfig("sentinel down-after-milliseconds "+masterName+" 1000"),
			WithConfig("sentinel failover-timeout "+masterName+" 3000"))
	}
	for _, s := range t.Sentinels {
		client := redis.NewSentinelClient(&redis.Options{Addr: s.Addr()})
		waittest.Until(tb, "the Sentinels know each other and the replica", func() bool {
			info, err := client.Master(tb.Context(), masterName).Result()
			return err == nil && info["num-other-sentinels"] == "2" && info["num-slaves"] == "1"
		})
		_ = client.Close()
	}
	return t
}

func asSentinel(s *Server) { s.sentinel = true }

// URL returns a URL with the Sentinels and the master's name.
func (t *Trio) URL() string {
	addrs := make([]string, len(t.Sentinels))
	for i, s := range t.Sentinels {
		addrs[i] = s.Addr()
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/" + masterName
}

// Master returns the server that is the master according to the Sentinels.
func (t *Trio) Master() *Server {
	t.tb.Helper()
	client := redis.NewSentinelClient(&redis.Options{Addr: t.Sentinels[0].Addr()})
	defer func() { _ = client.Close() }()
	addr, err := client.GetMasterAddrByName(t.tb.Context(), masterName).Result()
	if err != nil {
		t.tb.Fatalf("redistest: ask the Sentinel: %v", err)
	}
	for _, s := range t.Servers {
		if s.Addr() == net.JoinHostPort(addr[0], addr[1]) {
			return s
		}
	}
	t.tb.Fatalf("redistest: the master is %v", addr)
	return nil
}

// words converts an address to the form in Redis's configuration: host and port.
func words(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return host + " " + port
}

func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}
