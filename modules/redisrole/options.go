package redisrole

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/go-redis/v9/push"
)

// What a client does unless its URL says otherwise: a dead server must fail
// fast instead of holding callers.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 1500 * time.Millisecond
	poolTimeout = 2 * time.Second
	// clusterReload is how old what is known of a cluster may be. go-redis asks
	// at once when a node says that a slot is elsewhere; a dead one says nothing.
	clusterReload = 2 * time.Second
)

// open makes a client of a URL, whose connections are noted. It does no I/O but
// reading certificates.
func open(raw, name string, noted *links) (redis.UniversalClient, target, error) {
	t, err := parse(raw)
	if err != nil {
		return nil, t, err
	}
	opt := t.options
	opt.ContextTimeoutEnabled = true
	opt.DialerRetries = 1
	opt.MaintNotificationsConfig = noNotifications()
	setDefault(&opt.ClientName, name)
	setDefault(&opt.DialTimeout, dialTimeout)
	setDefault(&opt.ReadTimeout, ioTimeout)
	setDefault(&opt.WriteTimeout, ioTimeout)
	setDefault(&opt.PoolTimeout, poolTimeout)
	setDefault(&opt.MaxRetries, 1)
	switch t.topology {
	case sentinel:
		failover := t.universal().Failover()
		failover.Dialer = noted.through(redis.NewDialer(opt))
		return redis.NewFailoverClient(failover), t, nil
	case cluster:
		opt := t.universal().Cluster()
		opt.ClusterStateReloadInterval = clusterReload
		return redis.NewClusterClient(opt), t, nil
	default:
		opt.Dialer = noted.through(redis.NewDialer(opt))
		return redis.NewClient(opt), t, nil
	}
}

// noNotifications turns off notifications of planned failovers. They exist on one
// vendor's servers only and cost each connection a refused command everywhere else.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// errNotDuplicable is why a Ring cannot carry pub/sub.
var errNotDuplicable = errors.New("redisrole: only *redis.Client and *redis.ClusterClient can be duplicated")

// duplicate makes a client with another client's settings, whose connections
// are noted.
func duplicate(client redis.UniversalClient, noted *links) (redis.UniversalClient, error) {
	switch c := client.(type) {
	case *redis.Client:
		opt := *c.Options()
		restoreDisabled(&opt)
		// The given client changes its own configuration while it connects.
		opt.MaintNotificationsConfig = noNotifications()
		// A duplicate subscribes: it must not cache, and handlers for pushes
		// are registered with one client only.
		opt.ClientSideCache, opt.ClientSideCacheConfig = nil, nil
		if _, own := opt.PushNotificationProcessor.(*push.Processor); own {
			opt.PushNotificationProcessor = nil
		}
		opt.Dialer = noted.through(opt.Dialer)
		return redis.NewClient(&opt), nil
	case *redis.ClusterClient:
		opt := *c.Options()
		restoreDisabledCluster(&opt)
		opt.MaintNotificationsConfig = noNotifications()
		return redis.NewClusterClient(&opt), nil
	default:
		return nil, fmt.Errorf("%w, not %T", errNotDuplicable, client)
	}
}

// restoreDisabled undoes what go-redis does to options that it has taken: it
// turns "disabled" into a value that a second client would read as "default". A
// duplicate without timeouts still ends its calls with their contexts.
func restoreDisabled(opt *redis.Options) {
	opt.ContextTimeoutEnabled = true
	disable(&opt.ReadTimeout, &opt.WriteTimeout, &opt.MinRetryBackoff, &opt.MaxRetryBackoff)
	if opt.MaxRetries == 0 {
		opt.MaxRetries = -1
	}
}

func restoreDisabledCluster(opt *redis.ClusterOptions) {
	opt.ContextTimeoutEnabled = true
	disable(&opt.ReadTimeout, &opt.WriteTimeout, &opt.MinRetryBackoff, &opt.MaxRetryBackoff)
	if opt.MaxRedirects == 0 {
		opt.MaxRedirects = -1
	}
}

// disable sets those of durations that are disabled to what go-redis reads as
// that: without a timeout of their own, calls heed their contexts' deadlines (-2
// would make them ignore those).
func disable(durations ...*time.Duration) {
	for _, d := range durations {
		if *d <= 0 {
			*d = -1
		}
	}
}
