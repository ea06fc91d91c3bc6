package redisrole_test

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/redisrole"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	for name, c := range map[string]struct {
		config redisrole.Config
		given  []redisrole.Role
		want   []string // parts of the error, one for each line; none: valid
	}{
		"nothing":                {},
		"shared":                 {config: redisrole.Config{URL: "redis://localhost"}},
		"all":                    {config: redisrole.Config{URL: "redis://h:1/2", SocketURL: "rediss://u:p@h", GroupURL: "redis://[::1]:6379/0", CacheURL: "redis://h?max_retries=2"}},
		"cache alone":            {config: redisrole.Config{CacheURL: "redis://h"}},
		"socket and group":       {config: redisrole.Config{SocketURL: "redis://h", GroupURL: "redis://h"}},
		"socket without group":   {config: redisrole.Config{SocketURL: "redis://h"}, want: []string{"redis.group.url: the socket role goes to Redis and the group role does not"}},
		"group without socket":   {config: redisrole.Config{GroupURL: "redis://h"}, want: []string{"redis.socket.url: the group role goes to Redis"}},
		"group given, socket":    {config: redisrole.Config{SocketURL: "redis://h"}, given: []redisrole.Role{redisrole.Group}},
		"socket given alone":     {given: []redisrole.Role{redisrole.Socket}, want: []string{"redis.group.url: "}},
		"given and configured":   {config: redisrole.Config{URL: "redis://h", SocketURL: "redis://h"}, given: []redisrole.Role{redisrole.Socket}, want: []string{"redis.socket.url: a client is given"}},
		"sentinel":               {config: redisrole.Config{URL: "redis+sentinel://u:p%2Fw@h1,h2:1,[::1]/main/3?sentinel_password=x&max_retries=2"}},
		"sentinel, no master":    {config: redisrole.Config{URL: "redis+sentinel://h1,h2"}, want: []string{"redis.url: after the Sentinels there is the master's name"}},
		"cluster":                {config: redisrole.Config{URL: "rediss+cluster://u:p@h1,h2:7000"}},
		"cluster with a number":  {config: redisrole.Config{URL: "redis+cluster://h1,h2/1"}, want: []string{"redis.url: a cluster has no database numbers"}},
		"two hosts":              {config: redisrole.Config{URL: "redis://h1,h2"}, want: []string{"redis.url: redis:// takes one host: use redis+sentinel://"}},
		"an empty host":          {config: redisrole.Config{URL: "redis+cluster://h1,,h2"}, want: []string{"redis.url: it names no host"}},
		"a wrong port":           {config: redisrole.Config{URL: "redis+cluster://h1:x,h2"}, want: []string{"redis.url: it is not a URL"}},
		"certificates, no TLS":   {config: redisrole.Config{URL: "redis://h?tls_ca=/ca.pem"}, want: []string{"redis.url: tls_ca, tls_cert and tls_key need rediss://"}},
		"half a certificate":     {config: redisrole.Config{URL: "rediss://h?tls_cert=/c.pem"}, want: []string{"redis.url: tls_cert and tls_key go together"}},
		"no such authority":      {config: redisrole.Config{URL: "rediss://h?tls_ca=/nowhere/ca.pem"}, want: []string{"redis.url: tls_ca: open /nowhere/ca.pem"}},
		"a short signing key":    {config: redisrole.Config{SocketHMAC: secret}, want: []string{"redis.socket.hmac: 6 bytes are too few"}},
		"another scheme":         {config: redisrole.Config{URL: "http://" + secret + "@h"}, want: []string{"redis.url: http:// is not a Redis URL"}},
		"no scheme":              {config: redisrole.Config{URL: "localhost"}, want: []string{"redis.url: it needs a scheme"}},
		"no host":                {config: redisrole.Config{URL: "redis://:" + secret + "@"}, want: []string{"redis.url: it names no host"}},
		"slash in the password":  {config: redisrole.Config{URL: "redis://:12/" + secret + "@h"}, want: []string{"redis.url: "}},
		"percent in it":          {config: redisrole.Config{URL: "redis://:%" + secret + "@h"}, want: []string{"redis.url: it is not a URL"}},
		"database is a name":     {config: redisrole.Config{URL: "redis://h/" + secret}, want: []string{"redis.url: after the host"}},
		"unknown option":         {config: redisrole.Config{URL: "redis://:" + secret + "@h?colour=red"}, want: []string{"redis.url: unexpected option: colour"}},
		"prefix":                 {config: redisrole.Config{Prefix: "a b"}, want: []string{"redis.prefix: "}},
		"prefix with a pattern":  {config: redisrole.Config{Prefix: "a*"}, want: []string{"redis.prefix: "}},
		"prefix with a colon":    {config: redisrole.Config{Prefix: "a:"}, want: []string{"redis.prefix: "}},
		"prefix of two parts":    {config: redisrole.Config{Prefix: "shop:staging"}},
		"every mistake is named": {config: redisrole.Config{URL: "x", SocketURL: "y", Prefix: "*"}, want: []string{"redis.url: ", "redis.socket.url: ", "redis.prefix: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.config.ValidateWith(c.given...)
			if len(c.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it was accepted")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Fatalf("%d lines, want %d: %v", len(lines), len(c.want), err)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d is %q, want %q…", i, lines[i], want)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Fatalf("the error tells a secret: %v", err)
			}
		})
	}
}
