package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/authorize"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// checkTimeout limits moim check and moim redis check.
	checkTimeout = 15 * time.Second
	// readyTimeout limits a request to a node for its readiness or its id.
	readyTimeout = 4 * time.Second
	// clockTolerance is the difference between clocks above which check warns.
	clockTolerance = time.Second
)

// The grades of a finding.
const (
	good = "ok"
	warn = "warn"
	fail = "fail"
)

// finding is one line of moim check.
type finding struct{ grade, subject, text string }

type checkCommand struct {
	Ready bool `help:"only ask the node that runs here whether it is ready, for health checks of containers"`
}

// Run prints the findings, and returns an error if one of them is a failure.
func (c checkCommand) Run(l *loader) error {
	if c.Ready {
		return interruptibly(l, askReady)
	}
	return interruptibly(l, check)
}

func check(ctx context.Context, cfg config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found := []finding{{good, "configuration", "every key is valid; `moim config` prints the values"}}
	found = append(found, checkAddresses(ctx, cfg)...)
	found = append(found, checkTokens(ctx, cfg))
	found = append(found, checkDatabase(ctx, cfg)...)
	found = append(found, checkRedis(ctx, cfg)...)
	found = append(found, checkNodes(cfg)...)
	found = append(found, checkAuthorize(ctx, cfg)...)
	return printFindings(os.Stdout, found)
}

func printFindings(w io.Writer, found []finding) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	failed := 0
	for _, f := range found {
		text := strings.Join(strings.FieldsFunc(f.text, func(r rune) bool { return r == '\n' || r == '\t' }), " ")
		fmt.Fprintf(out, "%s\t%s\t%s\n", f.grade, f.subject, text)
		if f.grade == fail {
			failed++
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(found))
	}
	return nil
}

func checkTokens(ctx context.Context, cfg config.Config) finding {
	const subject = "tokens"
	if cfg.Auth.Empty() {
		if err := database.Writable(cfg.Data.Dir); err != nil {
			return finding{fail, subject, fmt.Sprintf("the development secret cannot be kept: %v. Set auth.secret, or a data.dir that this user may write to", err)}
		}
		return finding{warn, subject, "a development secret in " + cfg.Data.Dir + " signs them. Set auth.secret, auth.jwks.url or auth.public.key in production"}
	}
	verifier, err := auth.New(cfg.Auth, slog.New(slog.DiscardHandler))
	if err == nil {
		err = verifier.Check(ctx)
	}
	switch warning := cfg.Auth.Warning(); {
	case err != nil:
		return finding{fail, subject, err.Error()}
	case warning != "":
		return finding{warn, subject, warning}
	}
	return finding{good, subject, "the keys can be read"}
}

func checkDatabase(ctx context.Context, cfg config.Config) []finding {
	const subject = "database"
	report, err := database.Check(ctx, cfg.Database, cfg.Data.Dir)
	if err != nil {
		return []finding{{fail, subject, fmt.Sprintf("%s: %v", report.Where, err)}}
	}
	found := []finding{{good, subject, report.String()}}
	return append(found, checkClock(subject, report.ClockAhead)...)
}

func checkRedis(ctx context.Context, cfg config.Config) []finding {
	redisrole.LogTo(slog.New(slog.DiscardHandler))
	clients, err := redisrole.New(cfg.Redis, "check", nil)
	if err != nil {
		return []finding{{fail, "redis", err.Error()}}
	}
	defer func() { _ = clients.Close() }()
	var found []finding
	for _, r := range clients.Check(ctx) {
		found = append(found, roleFindings(r)...)
	}
	return found
}

func roleFindings(r redisrole.Report) []finding {
	subject := "redis." + string(r.Role)
	switch {
	case r.Source == redisrole.None:
		return []finding{{good, subject, "in this process"}}
	case r.Err != nil:
		return []finding{{fail, subject, fmt.Sprintf("%s: %v. Nodes start without it and say in /readyz what is missing", r.Where, r.Err)}}
	}
	found := []finding{{good, subject, fmt.Sprintf("%s, %s, Redis %s, round trip %s", r.Where, r.Source, r.Version, r.RoundTrip.Round(time.Microsecond))}}
	for _, advice := range r.Advice() {
		found = append(found, finding{warn, subject, advice})
	}
	return append(found, checkClock(subject, r.ClockAhead)...)
}

// checkClock warns if a server's clock differs from this machine's.
func checkClock(subject string, ahead time.Duration) []finding {
	if ahead.Abs() <= clockTolerance {
		return nil
	}
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	return []finding{{warn, subject, fmt.Sprintf("its clock is %s %s this machine's: reminders, ends and tokens depend on clocks. Run NTP on both",
		ahead.Abs().Round(time.Millisecond), direction)}}
}

// checkNodes examines what a deployment with several nodes needs.
func checkNodes(cfg config.Config) []finding {
	if !cfg.SocketsUseRedis() {
		return nil
	}
	var found []finding
	if !strings.HasPrefix(cfg.Database.URL, "postgres") {
		found = append(found, finding{warn, "nodes", "SQLite serves one node. For more, set database.url to a postgres:// URL"})
	}
	if cfg.Node.URL == "" {
		found = append(found, finding{warn, "nodes", "node.url is empty: clients that poll need sticky load balancing. Set the URL under which other nodes reach this one"})
	} else if u, err := url.Parse(cfg.Node.URL); err == nil && u.Hostname() == "localhost" {
		found = append(found, finding{warn, "nodes", "node.url names localhost, which is another machine for other nodes"})
	}
	return found
}

// checkAuthorize connects to the back end that authorize.url asks.
func checkAuthorize(ctx context.Context, cfg config.Config) []finding {
	const subject = "authorize"
	c := cfg.WithDefaults().Authorize
	u, err := url.Parse(c.URL)
	if c.URL == "" || err != nil {
		return nil
	}
	where, meanwhile := u.Scheme+"://"+u.Host, "they are refused"
	if c.Open {
		meanwhile = "they may do it"
	}
	if err := authorize.Check(ctx, c); err != nil {
		grade := fail
		if c.Open {
			grade = warn
		}
		return []finding{{grade, subject, fmt.Sprintf("%s: %v. It is asked before users %s; until it answers, %s", where, err, strings.Join(c.Events, ", "), meanwhile)}}
	}
	return []finding{{good, subject, fmt.Sprintf("%s takes connections; it is asked before users %s. While it fails, %s", where, strings.Join(c.Events, ", "), meanwhile)}}
}

// askReady returns an error unless the node at http.addr is ready.
func askReady(ctx context.Context, cfg config.Config) error {
	return askNode(ctx, cfg.HTTP.Addr, "/readyz", func(res *http.Response) error {
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("the node is not ready: %s", res.Status)
		}
		fmt.Println("the node is ready")
		return nil
	})
}

// askNode requests a path from the node at addr, and passes the response to read.
func askNode(ctx context.Context, addr, path string, read func(*http.Response) error) error {
	addr, err := localAddr(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the node: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	return read(res)
}
