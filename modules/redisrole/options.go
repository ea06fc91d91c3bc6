package redisrole

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/go-redis/v9/push"
)

// Default settings, used unless the URL has others. They make calls fail fast if the server
// is dead.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 1500 * time.Millisecond
	poolTimeout = 2 * time.Second
	// clusterReload is the interval at which go-redis reads the layout of a cluster. It
	// also reads it when a node redirects a call, but a dead node does not redirect.
	clusterReload = 2 * time.Second
)

// open returns a client for a URL. The client retries a failed call up to retries times,
// and tr tracks its connections. open does no I/O except reading certificates.
func open(raw, name string, retries int, tr *tracker) (redis.UniversalClient, target, error) {
	t, err := parse(raw)
	if err != nil {
		return nil, t, err
	}
	opt := t.options
	opt.ContextTimeoutEnabled = true
	opt.DialerRetries = 1
	opt.MaintNotificationsConfig = noNotifications()
	opt.ClientName = cmp.Or(opt.ClientName, name)
	opt.DialTimeout = cmp.Or(opt.DialTimeout, dialTimeout)
	opt.ReadTimeout = cmp.Or(opt.ReadTimeout, ioTimeout)
	opt.WriteTimeout = cmp.Or(opt.WriteTimeout, ioTimeout)
	opt.PoolTimeout = cmp.Or(opt.PoolTimeout, poolTimeout)
	opt.MaxRetries = cmp.Or(opt.MaxRetries, retries)
	switch t.topology {
	case sentinel:
		failover := t.universal().Failover()
		failover.Dialer = tr.track(redis.NewDialer(opt))
		return redis.NewFailoverClient(failover), t, nil
	case cluster:
		opt := t.universal().Cluster()
		opt.ClusterStateReloadInterval = clusterReload
		return redis.NewClusterClient(opt), t, nil
	default:
		opt.Dialer = tr.track(redis.NewDialer(opt))
		return redis.NewClient(opt), t, nil
	}
}

// noRetries is for clients that publish, because a message must not arrive twice.
const noRetries = -1

// noNotifications disables notifications of planned failovers. Only one vendor's servers
// support them. Other servers refuse the command that go-redis sends for them on each
// connection.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

var errNotDuplicable = errors.New("redisrole: only *redis.Client and *redis.ClusterClient can be duplicated")

// duplicate returns a client with the settings of another client. tr tracks its
// connections.
func duplicate(client redis.UniversalClient, tr *tracker) (redis.UniversalClient, error) {
	switch c := client.(type) {
	case *redis.Client:
		opt := *c.Options()
		opt.ContextTimeoutEnabled = true
		restoreDisabled(&opt.ReadTimeout, &opt.WriteTimeout, &opt.MinRetryBackoff, &opt.MaxRetryBackoff)
		opt.MaxRetries = noRetries
		// Use a new value, because the given client modifies its own while it connects.
		opt.MaintNotificationsConfig = noNotifications()
		// A duplicate subscribes, so it must not cache. Push handlers belong to a single
		// client.
		opt.ClientSideCache, opt.ClientSideCacheConfig = nil, nil
		if _, own := opt.PushNotificationProcessor.(*push.Processor); own {
			opt.PushNotificationProcessor = nil
		}
		opt.Dialer = tr.track(opt.Dialer)
		return redis.NewClient(&opt), nil
	case *redis.ClusterClient:
		opt := *c.Options()
		opt.ContextTimeoutEnabled = true
		restoreDisabled(&opt.ReadTimeout, &opt.WriteTimeout, &opt.MinRetryBackoff, &opt.MaxRetryBackoff)
		opt.MaxRedirects = cmp.Or(opt.MaxRedirects, -1)
		opt.MaintNotificationsConfig = noNotifications()
		return redis.NewClusterClient(&opt), nil
	default:
		return nil, fmt.Errorf("%w, not %T", errNotDuplicable, client)
	}
}

// restoreDisabled sets disabled durations to -1, which means "disabled" in go-redis
// options. The options of an existing client have 0 instead, which a new client would read
// as "default". (-2 would make calls ignore context deadlines.)
func restoreDisabled(durations ...*time.Duration) {
	for _, d := range durations {
		if *d <= 0 {
			*d = -1
		}
	}
}
