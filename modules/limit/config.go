package limit

import (
	"errors"
	"time"

	"github.com/moim-live/moim/internal/toggle"
)

// Config holds the limits. Zero values mean the defaults. Except for the limit of the whole
// node, no limit applies to back ends.
type Config struct {
	Enabled             toggle.Switch `key:"enabled" help:"whether the limits are on"`
	NodeSockets         Share         `key:"node.sockets" help:"client connections and sockets of a node: a number, or a share of the file descriptors"`
	AddressPending      Cap           `key:"address.pending" help:"connections of one address that have not shown a token yet"`
	AddressConnects     Rate          `key:"address.connects" help:"handshakes of one address"`
	UserSockets         Cap           `key:"user.sockets" help:"sockets of a user, on all nodes together"`
	SocketRequests      Rate          `key:"socket.requests" help:"requests of a socket, of any kind"`
	UserRequests        Rate          `key:"user.requests" help:"HTTP requests of a user"`
	SocketBytes         ByteRate      `key:"socket.bytes" help:"bytes that a socket sends"`
	SocketSubscriptions Cap           `key:"socket.subscriptions" help:"groups that one socket is subscribed to"`
	UserRunning         Cap           `key:"user.running" help:"requests of a user that run at once on a node; others wait for up to a second"`
	UserMessages        Quota         `key:"user.messages" help:"messages of a user that are stored, and their bytes"`
	UserReads           Rate          `key:"user.reads" help:"lists and logs that a user reads, and subscriptions with since or presence"`
	UserCreates         Rate          `key:"user.creates" help:"groups that a user creates, including deleted groups"`
	UserJoins           Rate          `key:"user.joins" help:"times that a user joins one group"`
	UserDeliveries      Quota         `key:"user.deliveries" help:"recipients of a user's messages, signals and states, and the bytes to all recipients"`
	GroupBans           Cap           `key:"group.bans" help:"bans of a group"`
	GroupRequests       Cap           `key:"group.requests" help:"open requests to join a group"`
	PresenceStates      Rate          `key:"presence.states" help:"states of presence that a user sets"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	perSecond := func(count, burst int64) Rate { return Rate{Count: count, Per: time.Second, Burst: burst} }
	bytes := func(count, burst int64) ByteRate { return ByteRate(perSecond(count, burst)) }
	orDefault(&c.Enabled, toggle.On)
	orDefault(&c.NodeSockets, Share{Percent: 90})
	orDefault(&c.AddressPending, 200)
	orDefault(&c.AddressConnects, perSecond(50, 500))
	orDefault(&c.UserSockets, 50)
	orDefault(&c.SocketRequests, perSecond(50, 200))
	orDefault(&c.UserRequests, perSecond(50, 200))
	orDefault(&c.SocketBytes, bytes(256<<10, 2<<20))
	orDefault(&c.SocketSubscriptions, 1000)
	orDefault(&c.UserRunning, 4)
	orDefault(&c.UserMessages.Number, perSecond(10, 50))
	orDefault(&c.UserMessages.Bytes, bytes(1<<20, 1<<20))
	orDefault(&c.UserReads, perSecond(20, 100))
	orDefault(&c.UserCreates, Rate{60, time.Hour, 20})
	orDefault(&c.UserJoins, Rate{5, time.Minute, 5})
	orDefault(&c.UserDeliveries.Number, perSecond(20_000, 100_000))
	orDefault(&c.UserDeliveries.Bytes, bytes(25<<20, 25<<20))
	orDefault(&c.GroupBans, 10_000)
	orDefault(&c.GroupRequests, 1_000)
	orDefault(&c.PresenceStates, perSecond(10, 10))
	return c
}

// unlimited returns a configuration without limits.
func unlimited() Config {
	quota := Quota{Number: NoRate, Bytes: ByteRate(NoRate)}
	return Config{
		Enabled: toggle.Off, NodeSockets: Share{Cap: NoCap},
		AddressPending: NoCap, UserSockets: NoCap, SocketSubscriptions: NoCap, UserRunning: NoCap, GroupBans: NoCap, GroupRequests: NoCap,
		AddressConnects: NoRate, SocketRequests: NoRate, UserRequests: NoRate, SocketBytes: ByteRate(NoRate),
		UserReads: NoRate, UserCreates: NoRate, UserJoins: NoRate, PresenceStates: NoRate,
		UserMessages: quota, UserDeliveries: quota,
	}
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Validate returns an error for a rate that the configuration file cannot contain. Call it
// after [Config.WithDefaults].
func (c Config) Validate() error {
	var errs []error
	check := func(key string, r Rate) {
		if !r.off() && (r.Count == 0 || r.Per <= 0 || r.Burst <= 0) {
			errs = append(errs, errors.New("limit."+key+": a rate needs a number, a period and a burst above 0"))
		}
	}
	check("address.connects", c.AddressConnects)
	check("socket.requests", c.SocketRequests)
	check("user.requests", c.UserRequests)
	check("socket.bytes", Rate(c.SocketBytes))
	check("user.messages", c.UserMessages.Number)
	check("user.messages", Rate(c.UserMessages.Bytes))
	check("user.reads", c.UserReads)
	check("user.creates", c.UserCreates)
	check("user.joins", c.UserJoins)
	check("user.deliveries", c.UserDeliveries.Number)
	check("user.deliveries", Rate(c.UserDeliveries.Bytes))
	check("presence.states", c.PresenceStates)
	return errors.Join(errs...)
}
