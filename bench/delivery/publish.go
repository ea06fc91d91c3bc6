//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
)

// posters is the maximum number of calls that wait for an answer. A server that falls
// behind gets fewer messages, so that they do not pile up.
const posters = 64

// traffic describes the messages of a publisher.
type traffic struct {
	addrs        []string // the nodes
	first, rooms int
	rate         int // messages per second, over all rooms
}

// publisher posts messages at an even rate. It uses all rooms and all nodes in turn.
type publisher struct {
	cluster *peers.Cluster
	traffic traffic
	clock   load.Clock
	client  *http.Client
	cancel  context.CancelFunc
	running sync.WaitGroup

	posted atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[error] // the first failure
}

func startPublisher(ctx context.Context, cluster *peers.Cluster, t traffic) (*publisher, error) {
	clock, err := load.NewClock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &publisher{
		cluster: cluster, traffic: t, clock: clock, cancel: cancel,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: posters, DisableCompression: true}},
	}
	due := make(chan int)
	for range posters {
		p.running.Go(func() {
			for n := range due {
				p.post(ctx, n)
			}
		})
	}
	p.running.Go(func() {
		defer close(due)
		p.pace(ctx, due, t.rate)
	})
	return p, nil
}

// pace sends when a message is due. If no poster is free, the message is skipped.
func (p *publisher) pace(ctx context.Context, due chan<- int, rate int) {
	tick := time.NewTicker(min(time.Second/time.Duration(rate), time.Millisecond))
	defer tick.Stop()
	start := time.Now()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for ; n < int(time.Since(start).Seconds()*float64(rate)); n++ {
			select {
			case due <- n:
			default:
			}
		}
	}
}

func (p *publisher) post(ctx context.Context, n int) {
	room := n % p.traffic.rooms
	addr := p.traffic.addrs[(n/p.traffic.rooms+room)%len(p.traffic.addrs)]
	err := p.send(ctx, addr, p.traffic.first+room)
	if err == nil {
		p.posted.Add(1)
	} else if ctx.Err() == nil {
		p.failed.Add(1)
		p.first.CompareAndSwap(nil, &err)
	}
}

func (p *publisher) send(ctx context.Context, addr string, room int) error {
	request, err := p.cluster.Request(ctx, addr, room, load.Payload(p.clock.Now()))
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("POST %s: %s: %s", request.URL, response.Status, text)
	}
	return nil
}

// stop stops the publisher, and returns an error if calls have failed.
func (p *publisher) stop() error {
	p.cancel()
	p.running.Wait()
	p.client.CloseIdleConnections()
	if first := p.first.Load(); first != nil {
		return fmt.Errorf("%d calls failed, the first: %w", p.failed.Load(), *first)
	}
	return nil
}
