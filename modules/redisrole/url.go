package redisrole

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// topology is how the servers of a URL are arranged.
type topology string

const (
	standalone topology = "standalone"
	sentinel   topology = "sentinel"
	cluster    topology = "cluster"
)

// The default ports.
const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// target is a parsed Redis URL.
type target struct {
	topology topology
	addrs    []string       // addresses of the server, the Sentinels, or some nodes of the cluster
	master   string         // the Sentinels' name for the master
	options  *redis.Options // options of each connection

	sentinelUser, sentinelPassword string
}

// String returns the address without credentials: host:port/database.
func (t target) String() string {
	if t.topology == cluster {
		return t.server()
	}
	return t.server() + "/" + strconv.Itoa(t.options.DB)
}

// server returns the address without credentials and database number.
func (t target) server() string {
	hosts := strings.Join(t.addrs, ",")
	if t.topology == sentinel {
		return t.master + "@" + hosts
	}
	return hosts
}

var (
	errNoURL    = errors.New("it is not a URL (special characters in a password must be percent-encoded)")
	errNoHost   = errors.New("it names no host")
	errDatabase = errors.New("after the host there may only be a database number, such as /0")
	errMaster   = errors.New("after the Sentinels there is the master's name, and perhaps a database number: redis+sentinel://h1,h2/mymaster/0")
	errCluster  = errors.New("a cluster has no database numbers: nothing may follow the hosts")

	schemePattern   = regexp.MustCompile(`^(rediss?)(?:\+(sentinel|cluster))?$`)
	databasePattern = regexp.MustCompile(`^(/[0-9]{0,5})?$`)
	masterPattern   = regexp.MustCompile(`^/[^/]+(/[0-9]{1,5})?$`)
)

// parse parses a URL. Its errors contain only the scheme and the names of options, because
// any other part may belong to a password.
func parse(raw string) (target, error) {
	name, rest, found := strings.Cut(raw, "://")
	if !found {
		return target{}, errors.New("it needs a scheme: redis://host:6379 or rediss://host:6379")
	}
	if name == "unix" {
		opt, err := redis.ParseURL(raw)
		if err != nil {
			return target{}, errors.New("it is not the URL of a socket: unix:///path?db=0")
		}
		return target{topology: standalone, addrs: []string{opt.Addr}, options: opt}, nil
	}
	scheme := schemePattern.FindStringSubmatch(name)
	if scheme == nil {
		if strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz+", r) }) {
			return target{}, errNoURL
		}
		return target{}, fmt.Errorf("%s:// is not a Redis URL: use redis://, rediss://, redis+sentinel:// or redis+cluster://", name)
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, rest = rest[:i], rest[i:]
	} else {
		rest = ""
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	t := target{topology: cmp.Or(topology(scheme[2]), standalone)}
	port := redisPort
	if t.topology == sentinel {
		port = sentinelPort
	}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := address(host, port)
		if err != nil {
			return target{}, err
		}
		t.addrs = append(t.addrs, addr)
	}
	if t.topology == standalone && len(t.addrs) > 1 {
		return target{}, fmt.Errorf("%s:// takes one host: use %[1]s+sentinel:// or %[1]s+cluster:// for more", name)
	}
	// Without the additional hosts, it is like the URL of a single server, which go-redis
	// parses.
	u, err := url.Parse(scheme[1] + "://" + user + t.addrs[0] + rest)
	if err != nil {
		return target{}, errNoURL
	}
	err = t.read(u)
	return t, err
}

// read parses the part after the hosts.
func (t *target) read(u *url.URL) error {
	switch t.topology {
	case standalone:
		if !databasePattern.MatchString(u.Path) {
			return errDatabase
		}
	case cluster:
		if u.Path != "" && u.Path != "/" {
			return errCluster
		}
	case sentinel:
		if !masterPattern.MatchString(u.Path) {
			return errMaster
		}
		master, database, _ := strings.Cut(u.Path[1:], "/")
		t.master, u.Path = master, "/"+database
	}
	query := u.Query()
	take := func(name string) string {
		defer query.Del(name)
		return query.Get(name)
	}
	files := certificates{take("tls_ca"), take("tls_cert"), take("tls_key")}
	if t.topology == sentinel {
		t.sentinelUser, t.sentinelPassword = take("sentinel_username"), take("sentinel_password")
	}
	u.RawQuery = query.Encode()
	opt, err := redis.ParseURL(u.String())
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "redis: "))
	}
	t.options = opt
	if t.topology != standalone && opt.TLSConfig != nil {
		opt.TLSConfig.ServerName = "" // so that each server is verified by its own name
	}
	return files.apply(opt)
}

// certificates names PEM files.
type certificates struct{ ca, cert, key string }

func (c certificates) apply(opt *redis.Options) error {
	switch {
	case c == certificates{}:
		return nil
	case opt.TLSConfig == nil:
		return errors.New("tls_ca, tls_cert and tls_key need rediss://")
	case (c.cert == "") != (c.key == ""):
		return errors.New("tls_cert and tls_key go together")
	}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return fmt.Errorf("tls_ca: %w", err)
		}
		opt.TLSConfig.RootCAs = x509.NewCertPool()
		if !opt.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls_ca: %s contains no certificate", c.ca)
		}
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return fmt.Errorf("tls_cert, tls_key: %w", err)
		}
		opt.TLSConfig.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// address returns host:port.
func address(host, port string) (string, error) {
	u, err := url.Parse("//" + host)
	switch {
	case err != nil || u.Host != host:
		return "", errNoURL
	case u.Hostname() == "":
		return "", errNoHost
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), nil
}

// universal returns the options in the form that go-redis uses for Sentinels and clusters.
func (t target) universal() *redis.UniversalOptions {
	o := t.options
	return &redis.UniversalOptions{
		Addrs:            slices.Clone(t.addrs),
		MasterName:       t.master,
		SentinelUsername: t.sentinelUser,
		SentinelPassword: t.sentinelPassword,
		ClientName:       o.ClientName,
		DB:               o.DB,
		Protocol:         o.Protocol,
		Username:         o.Username,
		Password:         o.Password,
		TLSConfig:        o.TLSConfig,

		MaxRetries:            o.MaxRetries,
		MinRetryBackoff:       o.MinRetryBackoff,
		MaxRetryBackoff:       o.MaxRetryBackoff,
		DialTimeout:           o.DialTimeout,
		DialerRetries:         o.DialerRetries,
		ReadTimeout:           o.ReadTimeout,
		WriteTimeout:          o.WriteTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled,

		PoolFIFO:                 o.PoolFIFO,
		PoolSize:                 o.PoolSize,
		PoolTimeout:              o.PoolTimeout,
		MinIdleConns:             o.MinIdleConns,
		MaxIdleConns:             o.MaxIdleConns,
		MaxActiveConns:           o.MaxActiveConns,
		MaxConcurrentDials:       o.MaxConcurrentDials,
		ConnMaxIdleTime:          o.ConnMaxIdleTime,
		ConnMaxLifetime:          o.ConnMaxLifetime,
		ConnMaxLifetimeJitter:    o.ConnMaxLifetimeJitter,
		PipelinePoolSize:         o.PipelinePoolSize,
		PipelineReadBufferSize:   o.PipelineReadBufferSize,
		PipelineWriteBufferSize:  o.PipelineWriteBufferSize,
		MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
}
