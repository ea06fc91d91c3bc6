package feed

import (
	"context"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/internal/tracing"
	"github.com/moim-live/moim/modules/group"
)

const (
	// publishQueue is the maximum number of events that wait to be published. The relay
	// publishes the others.
	publishQueue   = 4096
	publishTimeout = time.Second
	markEvery      = 250 * time.Millisecond
	markBatch      = 256

	// relayAge is the age at which the relay publishes a committed event.
	relayAge   = time.Second
	relayBatch = 500

	// silenceEvery is the interval at which delivered versions are compared with the heads
	// of the logs. Each comparison reaches silenceSlack further back than the last one,
	// because a transaction may read the clock that long before it commits.
	silenceEvery = 2 * time.Second
	silenceSlack = 10 * time.Second
)

// Start starts the goroutines that publish, relay, and check silent groups.
func (f *Feed) Start(context.Context) error {
	f.tasks.Run(f.publishLoop)
	f.tasks.Run(f.relayLoop)
	f.tasks.Run(f.silenceLoop)
	if f.attendance != nil {
		f.tasks.Run(f.attendance.loop)
	}
	return nil
}

// Stop publishes the queued events and waits until the goroutines have ended.
func (f *Feed) Stop(ctx context.Context) error { return f.tasks.Stop(ctx) }

// publishLoop publishes this node's events and marks them in the outbox.
func (f *Feed) publishLoop(ctx context.Context) {
	var sent []group.Ref
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	send := func(it *item) {
		if f.publishItem(it) == nil {
			sent = append(sent, group.Ref{GroupID: it.groupID, Version: it.version})
		}
		if len(sent) >= markBatch {
			sent = f.mark(sent)
		}
	}
	for {
		select {
		case it := <-f.publish:
			send(it)
		case <-tick.C:
			sent = f.mark(sent)
		case <-ctx.Done():
			for {
				select {
				case it := <-f.publish:
					send(it)
					continue
				default:
				}
				f.mark(sent)
				return
			}
		}
	}
}

func (f *Feed) publishItem(it *item) error {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	env := it.envelope()
	if it.trace == "" {
		return f.out.Publish(ctx, env)
	}
	ctx, span := f.tracer.Start(tracing.Continue(ctx, it.trace), "publish "+string(it.typ), tracing.Producer)
	env.Trace = tracing.Carry(ctx)
	err := f.out.Publish(ctx, env)
	span.End(err)
	return err
}

// mark marks events as published in the outbox. If that fails, the relay publishes them
// again, and the other nodes drop the duplicates.
func (f *Feed) mark(refs []group.Ref) []group.Ref {
	if len(refs) == 0 {
		return refs
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := f.store.Published(ctx, refs); err != nil {
		f.logger.Debug("group: events stay in the outbox", "events", len(refs), "err", err)
	}
	return refs[:0]
}

// relayLoop publishes committed events that were not published because their node died or
// the adapter was down.
func (f *Feed) relayLoop(ctx context.Context) {
	tasks.Every(ctx, relayAge, nil, func() {
		for ctx.Err() == nil {
			n, err := f.store.Relay(ctx, relayAge, relayBatch, f.relay)
			if err != nil {
				f.logger.Debug("group: cannot relay the outbox", "err", err)
			}
			if err != nil || n < relayBatch {
				return
			}
		}
	})
}

func (f *Feed) relay(e group.Event) error {
	it, err := newItem(e)
	if err != nil {
		return err
	}
	f.deliver(it)
	return f.publishItem(it)
}

// silenceLoop finds lost events that no later event reveals.
func (f *Feed) silenceLoop(ctx context.Context) {
	last := time.Now()
	tasks.Every(ctx, silenceEvery, f.poke, func() {
		began := time.Now()
		if f.checkSilence(ctx, began.Sub(last)+silenceSlack) {
			last = began
		}
	})
}

func (f *Feed) checkSilence(ctx context.Context, window time.Duration) bool {
	f.mu.Lock()
	delivered := make(map[string]int64, len(f.topics))
	topics := make(map[string]*topic, len(f.topics))
	for id, t := range f.topics {
		topics[id] = t
	}
	f.mu.Unlock()
	if len(topics) == 0 {
		return true
	}
	ids := make([]string, 0, len(topics))
	for id, t := range topics {
		t.unshare()
		delivered[id] = t.delivered()
		ids = append(ids, id)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	heads, err := f.store.Heads(ctx, window, ids)
	if err != nil {
		f.logger.DebugContext(ctx, "group: cannot read the heads of the logs", "err", err)
		return false
	}
	for _, h := range heads {
		if t := topics[h.GroupID]; t != nil {
			t.heard(h.Version, delivered[h.GroupID])
		}
	}
	return true
}
