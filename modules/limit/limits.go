package limit

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/internal/toggle"
	"github.com/moim-live/moim/modules/fault"
)

const (
	// runningWait is how long a request waits while others of its user run.
	runningWait = time.Second
	// capRetry is when to come back after a cap was reached.
	capRetry = time.Second
	// warnEvery is how often it is logged that the node is full.
	warnEvery = time.Minute
)

// Census counts the sockets of users in the whole cluster.
type Census interface {
	// Count says that a user has own sockets on this node now, and returns how many
	// they have on other nodes. Calls for one user may run concurrently.
	Count(ctx context.Context, userID string, own int) (others int, err error)
}

// Limits are the limits of one node. Methods may be called concurrently. Their errors
// are fault.ErrRateLimited. Callers ask for users only, not for back ends. On a nil
// *Limits, they allow everything.
type Limits struct {
	cfg    atomic.Pointer[Config] // with every limit off if limits are
	census Census
	now    func() time.Time
	log    *slog.Logger
	warned atomic.Int64 // when it was logged that the node is full, in ns
	// descriptors is how many files the process may have open.
	descriptors int

	refused *prometheus.CounterVec

	connects, requests, reads, creates, joins, states *buckets // by address or user
	messages, messageBytes, deliveries, deliveryBytes *buckets
	pending, sockets                                  *gauges
	running                                           *turns
}

// Deps are the dependencies of [Limits]. All may be nil.
type Deps struct {
	Census     Census // nil: the sockets of a user are counted on this node only
	Registerer prometheus.Registerer
	Log        *slog.Logger
	Now        func() time.Time
}

// New returns limits. Zero values of cfg mean the defaults.
func New(cfg Config, deps Deps) (*Limits, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Limits{
		descriptors: descriptors(), census: deps.Census, now: deps.Now, log: deps.Log,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moim_limit_refused_total", Help: "Requests and connections refused, by the limit that was reached.",
		}, []string{"limit"}),
		connects:      newBuckets(NoRate),
		requests:      newBuckets(NoRate),
		reads:         newBuckets(NoRate),
		creates:       newBuckets(NoRate),
		joins:         newBuckets(NoRate),
		states:        newBuckets(NoRate),
		messages:      newBuckets(NoRate),
		messageBytes:  newBuckets(NoRate),
		deliveries:    newBuckets(NoRate),
		deliveryBytes: newBuckets(NoRate),
		pending:       newGauges(NoCap),
		sockets:       newGauges(NoCap),
		running:       newTurns(NoCap, runningWait),
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.Set(cfg); err != nil {
		return nil, err
	}
	if deps.Registerer != nil {
		if err := deps.Registerer.Register(l.refused); err != nil {
			return nil, fmt.Errorf("limit: register metrics: %w", err)
		}
	}
	return l, nil
}

// Set changes the limits. Zero values of cfg mean the defaults. What users have used and
// what is open counts for the new limits; nothing that is open is closed.
func (l *Limits) Set(cfg Config) error {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Enabled == toggle.Off {
		cfg = unlimited()
	}
	if l.descriptors == 0 && cfg.NodeSockets.Percent > 0 {
		cfg.NodeSockets = Share{Cap: NoCap}
	}
	now := l.now()
	l.connects.set(cfg.AddressConnects, now)
	l.requests.set(cfg.UserRequests, now)
	l.reads.set(cfg.UserReads, now)
	l.creates.set(cfg.UserCreates, now)
	l.joins.set(cfg.UserJoins, now)
	l.states.set(cfg.PresenceStates, now)
	l.messages.set(cfg.UserMessages.Number, now)
	l.messageBytes.set(Rate(cfg.UserMessages.Bytes), now)
	l.deliveries.set(cfg.UserDeliveries.Number, now)
	l.deliveryBytes.set(Rate(cfg.UserDeliveries.Bytes), now)
	l.pending.set(cfg.AddressPending)
	l.sockets.set(cfg.UserSockets)
	l.running.set(cfg.UserRunning)
	l.cfg.Store(&cfg)
	return nil
}

// refuse returns the error for a limit that is reached, named by its key.
func (l *Limits) refuse(key string, allowed fmt.Stringer, wait time.Duration) error {
	l.refused.WithLabelValues(key).Inc()
	e := fault.ErrRateLimited.WithMessage(fmt.Sprintf("limit.%s is reached, which is %s: try again later", key, allowed))
	e.Retry = wait
	return e
}

// rated takes one token.
func (l *Limits) rated(b *buckets, key string, rate Rate, of string) error {
	if wait := b.take(of, 1, l.now()); wait > 0 {
		return l.refuse(key, rate, wait)
	}
	return nil
}

// quota takes tokens for a number, and for the bytes that come with it, or none.
func (l *Limits) quota(numbers, bytes *buckets, key string, q Quota, of string, number, size int64) error {
	now := l.now()
	if wait := max(numbers.lacks(of, now), bytes.lacks(of, now)); wait > 0 {
		return l.refuse(key, q, wait)
	}
	numbers.take(of, number, now)
	bytes.take(of, size, now)
	return nil
}

// Connect allows a handshake from an address.
func (l *Limits) Connect(address string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.connects, "address.connects", l.cfg.Load().AddressConnects, address)
}

// Pending counts a connection from an address that has not shown a token. Call settled
// once it has, or is closed. It may be called more than once.
func (l *Limits) Pending(address string) (settled func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	if !l.pending.add(address) {
		return nil, l.refuse("address.pending", l.cfg.Load().AddressPending, capRetry)
	}
	return sync.OnceFunc(func() { l.pending.remove(address) }), nil
}

// Socket counts a socket of a user, in the whole cluster. Call closed when it is closed.
// If the other nodes cannot be counted, this node counts alone.
func (l *Limits) Socket(ctx context.Context, userID string) (closed func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	refusal := func() error { return l.refuse("user.sockets", l.cfg.Load().UserSockets, capRetry) }
	if !l.sockets.add(userID) {
		return nil, refusal()
	}
	closed = sync.OnceFunc(func() {
		l.sockets.remove(userID)
		_, _ = l.count(context.WithoutCancel(ctx), userID) // the next socket says it again
	})
	if total, err := l.count(ctx, userID); err == nil && l.cfg.Load().UserSockets.Exceeded(total) {
		closed()
		return nil, refusal()
	}
	return closed, nil
}

// count tells the other nodes how many sockets a user has here, and returns how many they
// have everywhere.
func (l *Limits) count(ctx context.Context, userID string) (total int, err error) {
	own := l.sockets.count(userID)
	if l.census == nil || l.cfg.Load().UserSockets < 0 {
		return own, nil
	}
	for {
		others, err := l.census.Count(ctx, userID, own)
		now := l.sockets.count(userID)
		if err != nil || now == own {
			return now + others, err
		}
		own = now // another call may have told the other nodes more lately, or this one
	}
}

// Request allows an HTTP request of a user.
func (l *Limits) Request(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.requests, "user.requests", l.cfg.Load().UserRequests, userID)
}

// Run allows a request of a user to run. It waits up to a second while others run. Call
// done at its end.
func (l *Limits) Run(ctx context.Context, userID string) (done func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	if done = l.running.take(ctx, userID); done == nil {
		return nil, l.refuse("user.running", l.cfg.Load().UserRunning, capRetry)
	}
	return done, nil
}

// Message allows a user to store a message of size bytes.
func (l *Limits) Message(userID string, size int) error {
	if l == nil {
		return nil
	}
	return l.quota(l.messages, l.messageBytes, "user.messages", l.cfg.Load().UserMessages, userID, 1, int64(size))
}

// Deliver allows a user to send size bytes to each of recipients.
func (l *Limits) Deliver(userID string, recipients, size int) error {
	if l == nil {
		return nil
	}
	n := int64(recipients)
	return l.quota(l.deliveries, l.deliveryBytes, "user.deliveries", l.cfg.Load().UserDeliveries, userID, n, n*int64(size))
}

// Read allows a user to read a list or a log.
func (l *Limits) Read(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.reads, "user.reads", l.cfg.Load().UserReads, userID)
}

// Create allows a user to create a group.
func (l *Limits) Create(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.creates, "user.creates", l.cfg.Load().UserCreates, userID)
}

// Join allows a user to join a group.
func (l *Limits) Join(userID, groupID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.joins, "user.joins", l.cfg.Load().UserJoins, userID+"\x00"+groupID)
}

// State allows a user to set a state of presence.
func (l *Limits) State(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.states, "presence.states", l.cfg.Load().PresenceStates, userID)
}

// NodeSockets returns how many connections and sockets the node may have. It is negative
// if there is no limit.
func (l *Limits) NodeSockets() int {
	if l == nil {
		return -1
	}
	most := l.cfg.Load().NodeSockets
	if most.Percent == 0 {
		return int(most.Cap)
	}
	return min(l.descriptors*most.Percent/100, l.forSockets())
}

// ownDescriptors is how many files the node has open for itself: databases, logs and
// connections to other servers.
const ownDescriptors = 64

// forSockets returns how many descriptors clients may use.
func (l *Limits) forSockets() int { return max(1, l.descriptors-ownDescriptors) }

// NodeConnections returns how many network connections the node may have. That is more than
// NodeSockets, so that requests get an answer when no socket does, and less than it has
// descriptors for. It is negative if there is no limit.
func (l *Limits) NodeConnections() int {
	most := l.NodeSockets()
	if most < 0 {
		return most
	}
	spare := max(16, most/16)
	if l.descriptors == 0 {
		return most + spare
	}
	return max(1, min(most+spare, l.forSockets()))
}

// NodeFull reports whether n connections are more than the node may have, and counts the
// refusal if they are.
func (l *Limits) NodeFull(n int) bool {
	most := l.NodeSockets()
	if most < 0 || n <= most {
		return false
	}
	l.RefuseConnection()
	return true
}

// RefuseConnection counts a connection that is refused because the node has as many as it may
// have, and logs that once a minute.
func (l *Limits) RefuseConnection() {
	l.refused.WithLabelValues("node.sockets").Inc()
	now, last := time.Now().UnixNano(), l.warned.Load()
	if now-last >= int64(warnEvery) && l.warned.CompareAndSwap(last, now) {
		l.log.Warn("limit: new connections are refused: the node has as many as limit.node.sockets allows", "allowed", l.NodeSockets())
	}
}

// GroupBans returns how many bans a group may have.
func (l *Limits) GroupBans() Cap {
	if l == nil {
		return NoCap
	}
	return l.cfg.Load().GroupBans
}

// GroupRequests returns how many open requests to join a group may have.
func (l *Limits) GroupRequests() Cap {
	if l == nil {
		return NoCap
	}
	return l.cfg.Load().GroupRequests
}

// UserSockets returns how many sockets a user may have.
func (l *Limits) UserSockets() Cap {
	if l == nil {
		return NoCap
	}
	return l.cfg.Load().UserSockets
}

// Subscriptions returns how many groups a socket may be subscribed to.
func (l *Limits) Subscriptions() Cap {
	if l == nil {
		return NoCap
	}
	return l.cfg.Load().SocketSubscriptions
}
