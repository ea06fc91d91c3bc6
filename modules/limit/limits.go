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
	// runningWait is how long a request waits while others of the same user run.
	runningWait = time.Second
	// capRetry is the time to wait after a cap was reached.
	capRetry = time.Second
	// warnEvery is the minimum time between two log lines about a full node.
	warnEvery = time.Minute
)

// Census counts the sockets of users in the whole cluster.
type Census interface {
	// Count records that a user has own sockets on this node now, and returns how many they
	// have on other nodes. Calls for one user may run concurrently.
	Count(ctx context.Context, userID string, own int) (others int, err error)
}

// Limits holds the limits of one node. It is safe for concurrent use. Its errors are
// fault.ErrRateLimited. Do not ask it about back ends, which have no limits. A nil *Limits
// allows everything.
type Limits struct {
	cfg    atomic.Pointer[Config] // all limits off if limits are disabled
	census Census
	now    func() time.Time
	log    *slog.Logger
	warned atomic.Int64 // time of the last log line about a full node, in ns
	// descriptors is the number of files that the process may have open.
	descriptors int

	refused *prometheus.CounterVec

	connects, requests, reads, creates, joins, states *buckets // by address or user
	messages, messageBytes, deliveries, deliveryBytes *buckets
	pending, sockets                                  *gauges
	running                                           *turns
}

// Deps are the dependencies of [Limits]. All may be nil.
type Deps struct {
	Census     Census // if nil, a user's sockets are counted on this node only
	Registerer prometheus.Registerer
	Log        *slog.Logger
	Now        func() time.Time
}

// New returns limits. Zero values in cfg mean the defaults.
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

// Set changes the limits. Zero values in cfg mean the defaults. Earlier use counts towards
// the new limits. Nothing that is open is closed.
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

// refuse returns the error for a limit, named by its key.
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

// quota takes tokens for a number of items and for their bytes, or none of both.
func (l *Limits) quota(numbers, bytes *buckets, key string, q Quota, of string, number, size int64) error {
	now := l.now()
	if wait := max(numbers.lacks(of, now), bytes.lacks(of, now)); wait > 0 {
		return l.refuse(key, q, wait)
	}
	numbers.take(of, number, now)
	bytes.take(of, size, now)
	return nil
}

// Connect checks whether an address may make a handshake.
func (l *Limits) Connect(address string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.connects, "address.connects", l.cfg.Load().AddressConnects, address)
}

// Pending counts a connection from an address without a verified token. Call settled once
// the connection has one, or is closed. settled may be called more than once.
func (l *Limits) Pending(address string) (settled func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	if !l.pending.add(address) {
		return nil, l.refuse("address.pending", l.cfg.Load().AddressPending, capRetry)
	}
	return sync.OnceFunc(func() { l.pending.remove(address) }), nil
}

// Socket counts a user's socket, in the whole cluster. Call closed when it is closed. If
// the other nodes cannot be counted, only the sockets of this node count.
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
		_, _ = l.count(context.WithoutCancel(ctx), userID) // if it fails, the next socket reports the number again
	})
	if total, err := l.count(ctx, userID); err == nil && l.cfg.Load().UserSockets.Exceeded(total) {
		closed()
		return nil, refusal()
	}
	return closed, nil
}

// count reports to the other nodes how many sockets a user has here. It returns how many
// they have everywhere.
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
		own = now // a concurrent call may have reported another number
	}
}

// Request checks whether a user may make an HTTP request.
func (l *Limits) Request(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.requests, "user.requests", l.cfg.Load().UserRequests, userID)
}

// Run checks whether another request of a user may run. It waits up to a second while
// others run. Call done at the end of the request.
func (l *Limits) Run(ctx context.Context, userID string) (done func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	if done = l.running.take(ctx, userID); done == nil {
		return nil, l.refuse("user.running", l.cfg.Load().UserRunning, capRetry)
	}
	return done, nil
}

// Message checks whether a user may store a message of size bytes.
func (l *Limits) Message(userID string, size int) error {
	if l == nil {
		return nil
	}
	return l.quota(l.messages, l.messageBytes, "user.messages", l.cfg.Load().UserMessages, userID, 1, int64(size))
}

// Deliver checks whether a user may send size bytes to each recipient.
func (l *Limits) Deliver(userID string, recipients, size int) error {
	if l == nil {
		return nil
	}
	n := int64(recipients)
	return l.quota(l.deliveries, l.deliveryBytes, "user.deliveries", l.cfg.Load().UserDeliveries, userID, n, n*int64(size))
}

// Read checks whether a user may read a list or a log.
func (l *Limits) Read(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.reads, "user.reads", l.cfg.Load().UserReads, userID)
}

// Create checks whether a user may create a group.
func (l *Limits) Create(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.creates, "user.creates", l.cfg.Load().UserCreates, userID)
}

// Join checks whether a user may join a group.
func (l *Limits) Join(userID, groupID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.joins, "user.joins", l.cfg.Load().UserJoins, userID+"\x00"+groupID)
}

// State checks whether a user may set a live state.
func (l *Limits) State(userID string) error {
	if l == nil {
		return nil
	}
	return l.rated(l.states, "presence.states", l.cfg.Load().PresenceStates, userID)
}

// NodeSockets returns the maximum number of connections and sockets of the node, or a
// negative number if there is no limit.
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

// ownDescriptors is the number of files that the node itself needs: databases, logs and
// connections to other servers.
const ownDescriptors = 64

// forSockets returns the number of descriptors for clients.
func (l *Limits) forSockets() int { return max(1, l.descriptors-ownDescriptors) }

// NodeConnections returns the maximum number of network connections of the node, or a
// negative number if there is no limit. It is more than NodeSockets, so that HTTP requests
// are answered when no more sockets are accepted, and less than the number of descriptors.
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

// NodeFull reports whether n connections are more than the maximum. If so, it counts a
// refusal.
func (l *Limits) NodeFull(n int) bool {
	most := l.NodeSockets()
	if most < 0 || n <= most {
		return false
	}
	l.RefuseConnection()
	return true
}

// RefuseConnection counts a connection that is refused because the node is full, and logs
// this once a minute.
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
