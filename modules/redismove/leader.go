package redismove

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// pollEvery is the interval at which the leader reads the nodes' reports.
	pollEvery = 200 * time.Millisecond
	// quiet is how long a node may be silent before the leader reports it.
	quiet = 3 * time.Second
)

// Leader carries out a move for an operator.
type Leader struct {
	store    store
	clients  *redisrole.Clients // for the operator's configuration
	secret   Secret
	operator string
	urls     func(redisrole.Role) string

	// Progress, if not nil, is called with a text for each event.
	Progress func(text string)
}

// NewLeader returns a leader for an operator with the nodes' configuration. It does no I/O.
func NewLeader(db *database.DB, cfg redisrole.Config, secret Secret) (*Leader, error) {
	id := "operator-" + uuid.NewString()
	clients, err := redisrole.New(cfg, redisrole.NodeID(id), nil)
	if err != nil {
		return nil, err
	}
	return &Leader{
		store:    store{db},
		clients:  clients,
		secret:   secret,
		operator: id,
		urls:     func(role redisrole.Role) string { return cmp.Or(cfg.URLOf(role), cfg.URL) },
	}, nil
}

// Close closes the connections to the servers.
func (l *Leader) Close() error { return l.clients.Close() }

// Order is an operator's request.
type Order struct {
	Role redisrole.Role
	To   string // URL of the target; optional if a move is in progress
	From string // URL of the server that the operator expects to be in use; optional
	Back bool   // take back the move that is in progress
}

// Lead carries out a move to its end, or back to its beginning, and returns it. After an
// error, or when ctx ends, the move stays in its phase. The same order continues it, and an
// order with Back takes it back.
func (l *Leader) Lead(ctx context.Context, o Order) (Move, error) {
	m, err := l.take(ctx, o)
	if err != nil {
		return Move{}, err
	}
	defer func() {
		rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
		defer cancel()
		_ = l.store.rest(rest, m, l.operator)
	}()
	goal, step := Moved, Phase(1)
	if o.Back {
		goal, step = Settled, -1
	}
	l.say("the %s role moves from %s to %s", m.Role, m.Source, m.Target)
	// A move that is taken back need not wait for nodes to reach its current phase, because
	// no node is in a later one.
	for turning := o.Back && m.Phase != goal; ; turning = false {
		if !turning {
			if err := l.barrier(ctx, m); err != nil {
				return m, err
			}
			if m.Phase == goal {
				return m, nil
			}
		}
		if !o.Back && m.Phase == Leaving { // before the other phases, each node checks this itself
			if err := l.reachable(ctx, m); err != nil {
				return m, err
			}
		}
		m.Phase += step
		if err := l.store.lead(ctx, m, l.operator); err != nil {
			return m, err
		}
	}
}

// take returns the move to carry out: a new one, or the one in progress.
func (l *Leader) take(ctx context.Context, o Order) (Move, error) {
	if !slices.Contains(redisrole.Roles(), o.Role) {
		return Move{}, fmt.Errorf("there is no role %q: it is socket, group or cache", o.Role)
	}
	if !l.clients.Uses(o.Role) {
		return Move{}, fmt.Errorf("the %s role does not use Redis: set redis.url or redis.%s.url and restart the nodes", o.Role, o.Role)
	}
	moves, err := Moves(ctx, l.store.db)
	if err != nil {
		return Move{}, err
	}
	last, found := moves[o.Role]
	underWay := found && last.Phase != Settled && last.Phase != Moved
	if underWay || found && o.Back && last.Phase == Settled { // a move that was taken back already may be taken back again
		return l.goOn(ctx, last, o)
	}
	if o.Back {
		return Move{}, fmt.Errorf("no move of the %s role is under way: move it to another server with --to", o.Role)
	}
	return l.begin(ctx, last, found, o)
}

// goOn takes over a move that is in progress.
func (l *Leader) goOn(ctx context.Context, m Move, o Order) (Move, error) {
	if o.To != "" {
		name, err := l.nameOf(o.Role, o.To)
		if err != nil {
			return Move{}, fmt.Errorf("--to: %w", err)
		}
		if name != m.Target {
			return Move{}, fmt.Errorf("a move of the %s role to %s is under way: finish it, or take it back with --back", o.Role, m.Target)
		}
	}
	return m, l.store.lead(ctx, m, l.operator)
}

// begin creates a move in its first phase, in which nothing has changed.
func (l *Leader) begin(ctx context.Context, last Move, found bool, o Order) (Move, error) {
	source, sourceURL := l.clients.Where(o.Role), l.urls(o.Role)
	if found && last.MovedFrom(source) {
		sealed := last.targetURL
		if last.Phase == Settled {
			sealed = last.sourceURL
		}
		url, err := l.secret.open(sealed, last.ID)
		if err != nil {
			return Move{}, err
		}
		source, sourceURL = last.Server(), url
	}
	if o.From != "" {
		name, err := l.nameOf(o.Role, o.From)
		if err != nil {
			return Move{}, fmt.Errorf("--from: %w", err)
		}
		if name != source {
			return Move{}, fmt.Errorf("--from: the %s role is on %s, not on %s", o.Role, source, name)
		}
	}
	if o.To == "" {
		return Move{}, errors.New("--to: say where the role moves to")
	}
	to, err := l.clients.On(o.Role, o.To)
	if err != nil {
		return Move{}, fmt.Errorf("--to: %w", err)
	}
	defer func() { _ = to.Close() }()
	m := Move{Role: o.Role, ID: uuid.NewString(), Phase: Settled, Source: source, Target: to.Where(o.Role)}
	if m.Source == m.Target {
		return Move{}, fmt.Errorf("the %s role is on %s already", o.Role, m.Target)
	}
	if err := l.inspect(ctx, to, o.Role); err != nil {
		return Move{}, err
	}
	if m.sourceURL, err = l.secret.seal(sourceURL, m.ID); err != nil {
		return Move{}, err
	}
	if m.targetURL, err = l.secret.seal(o.To, m.ID); err != nil {
		return Move{}, err
	}
	before := ""
	if found {
		before = last.ID
	}
	return m, l.store.begin(ctx, m, before, l.operator)
}

// nameOf returns the name of the server of a URL.
func (l *Leader) nameOf(role redisrole.Role, url string) (string, error) {
	clients, err := l.clients.On(role, url)
	if err != nil {
		return "", err
	}
	return clients.Where(role), clients.Close()
}

// reachable returns an error if the target does not answer.
func (l *Leader) reachable(ctx context.Context, m Move) error {
	url, err := l.secret.open(m.targetURL, m.ID)
	if err != nil {
		return err
	}
	to, err := l.clients.On(m.Role, url)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	if err := to.Health(ctx, m.Role); err != nil {
		return fmt.Errorf("the move stands at %s: %w; fix that and run the same command again, or take the move back with --back", m.Phase, err)
	}
	return nil
}

// inspect checks the target before a node uses it.
func (l *Leader) inspect(ctx context.Context, to *redisrole.Clients, role redisrole.Role) error {
	identity, err := l.store.db.Identity(ctx)
	if err != nil {
		return err
	}
	for _, r := range to.Check(ctx) {
		if r.Role != role {
			continue
		}
		if r.Err != nil {
			return fmt.Errorf("--to: %w", r.Err)
		}
		delete(r.Deployments, identity)
		if len(r.Deployments) > 0 {
			return fmt.Errorf("--to: another deployment is live under this prefix on %s: give one of them its own redis.prefix", r.Where)
		}
	}
	return nil
}

// barrier waits until every live node has reported the move's phase.
func (l *Leader) barrier(ctx context.Context, m Move) error {
	began, said := time.Now(), ""
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if err := l.store.lead(ctx, m, l.operator); err != nil { // renews the lease
			return err
		}
		nodes, err := l.store.nodes(ctx)
		if err != nil {
			return err
		}
		if len(nodes) == 0 {
			return errors.New("no node of this deployment is live: change its configuration instead")
		}
		var waiting []string
		for _, n := range nodes {
			r := n.reached[m.Role]
			switch there := r.Move == m.ID && r.Phase == m.Phase; {
			case there && r.Error != "":
				return fmt.Errorf("node %s cannot go on to %s: %s; fix that and run the same command again, or take the move back with --back",
					n.id, m.Phase, r.Error)
			case there && r.Waits != "" && n.silent < quiet:
				waiting = append(waiting, fmt.Sprintf("%s (%s)", n.id, r.Waits))
			case there && n.silent < quiet:
			case n.silent >= quiet:
				waiting = append(waiting, fmt.Sprintf("%s (silent for %s)", n.id, n.silent.Round(time.Second)))
			default:
				waiting = append(waiting, n.id)
			}
		}
		if len(waiting) == 0 {
			l.say("%-8s %d of %d nodes, after %s", m.Phase, len(nodes), len(nodes), time.Since(began).Round(time.Millisecond))
			return nil
		}
		if text := strings.Join(waiting, ", "); text != said && time.Since(began) > quiet {
			said = text
			l.say("%-8s waits for %s", m.Phase, text)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the move stands at %s: %w", m.Phase, ctx.Err())
		case <-tick.C:
		}
	}
}

func (l *Leader) say(format string, a ...any) {
	if l.Progress != nil {
		l.Progress(fmt.Sprintf(format, a...))
	}
}
