//go:build linux

package moim

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
	"github.com/moim-live/moim/modules/auth"
)

const secret = "for-benchmarks-alone-for-benchmarks-alone"

// Peer is Moim.
type Peer struct {
	// Binary is the program; empty: it is built from this tree.
	Binary string
	// Env is configuration beside the defaults: MOIM_SOCKET_GATHER=…
	Env []string
	// Called is its name in the tables; empty: moim.
	Called string

	build   sync.Once
	err     error
	limited bool // it has limits
}

// raised are the limits of a user and an address, because the generator does the work of many
// from one address. Those of each socket stay.
var raised = []string{
	"MOIM_LIMIT_ADDRESS_CONNECTS=0", "MOIM_LIMIT_ADDRESS_PENDING=0", "MOIM_LIMIT_USER_SOCKETS=0", "MOIM_LIMIT_USER_REQUESTS=0",
	"MOIM_LIMIT_USER_RUNNING=0", "MOIM_LIMIT_USER_MESSAGES=0", "MOIM_LIMIT_USER_DELIVERIES=0", "MOIM_LIMIT_USER_READS=0",
}

var _ peers.Peer = (*Peer)(nil)

// Name implements peers.Peer.
func (p *Peer) Name() string { return cmp.Or(p.Called, "moim") }

// Build makes the binary where none was given.
func (p *Peer) Build(ctx context.Context, dir string) error {
	p.build.Do(func() {
		defer func() {
			config, _ := exec.CommandContext(ctx, p.Binary, "config").Output() // an older build may have none
			p.limited = strings.Contains(string(config), "limit.enabled")
		}()
		if p.Binary != "" {
			p.Binary, p.err = filepath.Abs(p.Binary)
			return
		}
		p.Binary = filepath.Join(dir, "moim")
		tree, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/moim-live/moim").Output()
		if err != nil {
			p.err = fmt.Errorf("find Moim's source: %w", err)
			return
		}
		build := exec.CommandContext(ctx, "go", "build", "-o", p.Binary, ".")
		build.Dir, build.Stderr = strings.TrimSpace(string(tree)), os.Stderr
		if p.err = build.Run(); p.err != nil {
			p.err = fmt.Errorf("build moim: %w", p.err)
		}
	})
	return p.err
}

// Stored is the same whose messages are stored, in place of signals.
func (p *Peer) Stored() peers.Peer { return storing{p} }

type storing struct{ *Peer }

// Name implements peers.Peer.
func (storing) Name() string { return "moim-stored" }

// Start implements peers.Peer.
func (s storing) Start(ctx context.Context, on *host.Host, need peers.Need) (*peers.Cluster, error) {
	need.Stored = true
	return s.Peer.Start(ctx, on, need)
}

// Start implements peers.Peer. Groups and members are made with one node, which
// is then started again, so that nothing of that is in the figures.
func (p *Peer) Start(ctx context.Context, on *host.Host, need peers.Need) (*peers.Cluster, error) {
	dir, err := on.Dir()
	if err != nil {
		return nil, err
	}
	env := append([]string{"MOIM_AUTH_SECRET=" + secret, "MOIM_LOG_LEVEL=warn", "MOIM_DATA_DIR=" + dir}, p.Env...)
	if p.limited {
		env = append(env, raised...)
	}
	config := "defaults, auth.secret, log.level=warn; SQLite"
	if need.Redis() {
		redis, err := on.Redis()
		if err != nil {
			return nil, err
		}
		database, err := on.Postgres()
		if err != nil {
			return nil, err
		}
		env = append(env, "MOIM_REDIS_URL=redis://"+redis, "MOIM_DATABASE_URL="+database)
		config = "defaults, auth.secret, log.level=warn; on several nodes redis.url (one server for all roles) and PostgreSQL"
	}
	if p.limited {
		config += "; no limits of one user and one address"
	}
	if len(p.Env) > 0 {
		config += "; " + strings.Join(p.Env, " ")
	}
	run := func() (string, *host.Process, error) {
		addr := host.FreeAddr()
		process, err := on.Run(append(env, "MOIM_HTTP_ADDR="+addr), dir, "http://"+addr+"/readyz", p.Binary, "serve")
		return addr, process, err
	}
	addr, process, err := run()
	if err != nil {
		return nil, err
	}
	groups, err := populate(ctx, addr, need)
	if err != nil {
		return nil, fmt.Errorf("make groups: %w", err)
	}
	process.End()

	c := &peers.Cluster{Config: config, Heartbeats: map[string]string{"2": "3"}}
	for range need.All() {
		addr, process, err := run()
		if err != nil {
			return nil, err
		}
		c.Addrs, c.PIDs = append(c.Addrs, addr), append(c.PIDs, process.PID())
	}
	c.Session = func(addr string, room, member int) load.Session {
		return session(addr, need.Polling, groups[room], userOf(room, member))
	}
	c.Resumable = func(addr string, room, member int) load.Session {
		return resumable(c.Session(addr, room, member), groups[room])
	}
	what := "signals"
	if need.Stored {
		what = "messages"
	}
	if c.Request, err = requests(groups, what); err != nil {
		return nil, err
	}
	return c, nil
}

// session is what socket.io-client says that subscribes at once.
func session(addr string, polling bool, groupID, user string) load.Session {
	token, err := mint(auth.Identity{UserID: user})
	if err != nil {
		token = "none" // the server will say so
	}
	return load.EngineIO(addr, polling,
		load.Step{Await: "0{", Say: `40{"token":"` + token + `"}`},
		load.Step{Await: "40{", Say: `420["group:subscribe",{"groupId":"` + groupID + `"}]`},
		load.Step{Await: subscribed},
	)
}

// subscribed is how the answer to a subscription begins.
const subscribed = `430[{"data"`

// resumable lets a session subscribe again since the last event that it has
// received, or since the group's version in the first answer.
func resumable(s load.Session, groupID string) load.Session {
	since := `420["group:subscribe",{"groupId":"` + groupID + `","since":` + load.Seen + `}]`
	s.Resume = &load.Resume{
		Marker:    `"version":`,
		Reconnect: []load.Step{s.Steps[0], {Await: "40{", Say: since}, {Await: subscribed}},
		Resubscribe: []load.Step{
			{Say: `421["group:unsubscribe",{"groupId":"` + groupID + `"}]`},
			{Await: `431[{"data"`, Say: since},
			{Await: subscribed},
		},
	}
	return s
}

func mint(id auth.Identity) (string, error) {
	id.Expires = time.Now().Add(24 * time.Hour)
	return auth.Mint([]byte(secret), id)
}

func userOf(room, member int) string { return fmt.Sprintf("user-%d-%d", room, member) }
