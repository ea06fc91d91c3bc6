package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/web"
)

// hooksTimeout limits a call of moim hooks. A test waits for the receiver.
const hooksTimeout = 30 * time.Second

// maxAnswer limits the answer of a node, in bytes. A page of a list is much smaller.
const maxAnswer = 16 << 20

type hooksCommand struct {
	List   hooksList   `cmd:"" help:"List the hooks, or the groups for which a hook has something left to send."`
	Replay hooksReplay `cmd:"" help:"Send events again, or go on in groups that are parked or wait for a retry."`
	Test   hooksTest   `cmd:"" help:"Send a test delivery and show the answer."`
}

// nodeFlags have the node to ask and the token for it.
type nodeFlags struct {
	URL   string `help:"URL of a node (default: of the node that http.addr names)" name:"url"`
	Token string `help:"token of a back end (default: one signed with auth.secret or the development secret)"`
}

type hooksList struct {
	nodeFlags

	Name string `arg:"" optional:"" help:"a hook, to list its groups"`
}

// Run lists hooks, or groups.
func (c hooksList) Run(l *loader) error {
	return c.ask(l, func(ctx context.Context, a asker) error {
		out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		if c.Name == "" {
			var page web.Page[hook.View]
			if err := a.call(ctx, http.MethodGet, "/hooks", nil, &page); err != nil {
				return err
			}
			fmt.Fprintln(out, "NAME\tURL\tEVENTS\tSOURCE\tENABLED")
			for _, h := range page.Items {
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%v %s\n", h.Name, h.URL, strings.Join(h.Events, ","), h.Source, h.Enabled, h.Problem)
			}
			return out.Flush()
		}
		fmt.Fprintln(out, "GROUP\tWHAT\tSTATE\tVERSION\tLAG\tATTEMPTS\tPROBLEM")
		for cursor := ""; ; {
			var page web.Page[hook.Status]
			err := a.call(ctx, http.MethodGet, "/hooks/"+url.PathEscape(c.Name)+"/groups?limit=200&cursor="+url.QueryEscape(cursor), nil, &page)
			if err != nil {
				return err
			}
			for _, g := range page.Items {
				what, version := "events", strconv.FormatInt(g.Version, 10)
				if g.Presence {
					what, version = "presence", "-"
				}
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", g.GroupID, what, g.State, version, g.Lag, g.Attempts, g.Problem)
			}
			if cursor = page.NextCursor; cursor == "" {
				return out.Flush()
			}
		}
	})
}

type hooksReplay struct {
	nodeFlags

	Name  string `arg:"" help:"the hook"`
	Group string `help:"only this group (default: all)"`
	Since string `help:"start, an instant such as 2026-03-01T12:00:00Z, or with --group a version (default: go on where deliveries have stopped)"`
}

// Run starts a replay.
func (c hooksReplay) Run(l *loader) error {
	return c.ask(l, func(ctx context.Context, a asker) error {
		err := a.call(ctx, http.MethodPost, "/hooks/"+url.PathEscape(c.Name)+"/replay", hook.ReplayRequest{GroupID: c.Group, Since: c.Since}, nil)
		if err == nil {
			fmt.Println("the nodes send the events in the background")
		}
		return err
	})
}

type hooksTest struct {
	nodeFlags

	Name string `arg:"" help:"the hook"`
}

// Run sends a test delivery.
func (c hooksTest) Run(l *loader) error {
	return c.ask(l, func(ctx context.Context, a asker) error {
		var result hook.TestResult
		if err := a.call(ctx, http.MethodPost, "/hooks/"+url.PathEscape(c.Name)+"/test", nil, &result); err != nil {
			return err
		}
		if !result.Accepted {
			return errors.New(result.Problem)
		}
		fmt.Printf("the receiver accepted it in %d ms\n", result.Milliseconds)
		return nil
	})
}

// asker calls a node as a back end.
type asker struct{ base, token string }

// ask runs fn with the node and the token of the flags.
func (f nodeFlags) ask(l *loader, fn func(context.Context, asker) error) error {
	return interruptibly(l, func(ctx context.Context, cfg config.Config) error {
		a := asker{strings.TrimSuffix(f.URL, "/"), f.Token}
		if a.base == "" {
			addr, err := localAddr(cfg.HTTP.Addr)
			if err != nil {
				return err
			}
			a.base = "http://" + addr
		}
		if a.token == "" {
			var err error
			if a.token, err = signToken(cfg, auth.Identity{UserID: "moim-hooks", Expires: time.Now().Add(2 * hooksTimeout)}, "admin hooks:read hooks:write"); err != nil {
				return fmt.Errorf("%w, or pass --token", err)
			}
		}
		ctx, cancel := context.WithTimeout(ctx, hooksTimeout)
		defer cancel()
		return fn(ctx, a)
	})
}

func (a asker) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+web.Prefix+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	// Do not follow redirects: other servers must not get the token.
	direct := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := direct.Do(req)
	if err != nil {
		return fmt.Errorf("ask the node: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer := io.LimitReader(res.Body, maxAnswer)
	if res.StatusCode >= http.StatusMultipleChoices {
		var problem web.Problem
		if err := json.NewDecoder(answer).Decode(&problem); err != nil || problem.Code == "" {
			return fmt.Errorf("the node answered %s", res.Status)
		}
		for _, f := range problem.Errors {
			problem.Detail += "; " + f.Field + " " + f.Message
		}
		return &problem
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(out)
}

// localAddr returns an address at which this machine reaches the node that listens on addr.
func localAddr(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if at := net.ParseIP(host); host == "" || at.IsUnspecified() {
		host = "localhost" // the node listens on all addresses
	}
	return net.JoinHostPort(host, port), nil
}
