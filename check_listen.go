package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/moim-live/moim/config"
)

// checkAddresses tries to listen at the addresses of a node.
func checkAddresses(ctx context.Context, cfg config.Config) []finding {
	cfg = cfg.WithDefaults()
	found, node := checkHTTP(ctx, cfg.HTTP.Addr)
	all := []finding{found}
	for _, own := range []struct{ key, addr string }{{"metrics.addr", cfg.Metrics.Addr}, {"debug.addr", cfg.Debug.Addr}} {
		if own.addr == "" {
			continue
		}
		switch err := tryListen(ctx, own.addr); {
		case err == nil:
			all = append(all, finding{good, own.key, own.addr + " is free"})
		case node != "" && errors.Is(err, syscall.EADDRINUSE):
			all = append(all, finding{good, own.key, own.addr + " is in use, and a node runs here"})
		default:
			all = append(all, finding{fail, own.key, err.Error()})
		}
	}
	return all
}

// checkHTTP tries to listen at http.addr. It returns the name of the node that already
// listens there, if any.
func checkHTTP(ctx context.Context, addr string) (found finding, node string) {
	const subject = "http.addr"
	err := tryListen(ctx, addr)
	if err == nil {
		return finding{good, subject, addr + " is free"}, ""
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return finding{fail, subject, err.Error()}, ""
	}
	if node = nodeAt(ctx, addr); node == "" {
		return finding{fail, subject, err.Error() + ", by a program that is no node of Moim"}, ""
	}
	return finding{good, subject, fmt.Sprintf("the node %s runs at %s. Another one needs another address", node, addr)}, node
}

// tryListen returns why it is impossible to listen at an address, or nil.
func tryListen(ctx context.Context, addr string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return listener.Close()
}

// nodeAt returns the name of the node that listens at an address, or "" if there is none or
// it does not answer.
func nodeAt(ctx context.Context, addr string) string {
	var answer struct{ Node string }
	err := askNode(ctx, addr, "/healthz", func(res *http.Response) error {
		return json.NewDecoder(io.LimitReader(res.Body, 1<<10)).Decode(&answer)
	})
	if err != nil {
		return ""
	}
	return answer.Node
}
