package redisadapter

import (
	"context"
	"time"
)

// worthwhile is how many messages a window gathers at least for the next one to
// be waited for as well: fewer are not worth being late.
const worthwhile = 3

// window is for how long messages are gathered, counted from when the last ones
// were published.
type window struct {
	length time.Duration // 0: they are not gathered
	began  time.Time
	timer  *time.Timer // nil before it was needed
	busy   bool        // enough came in the last window: the end of the next one is waited for
	full   bool        // the last batch was, and what is left has waited already
}

// next takes what is to be published next. It returns false when ctx has ended.
//
// What somebody waits for goes at once, with all that was queued before. What
// nobody waits for is gathered where there is much of it: a message that nearly
// follows the last one, by less than half a window, waits for the window's end,
// and so do those that follow it. While enough come they wake this goroutine
// once a window, and not each.
func (p *publisher) next(ctx context.Context) bool {
	clear(p.batch)
	p.batch = p.batch[:0]
	for {
		if !p.window.busy {
			select {
			case <-ctx.Done():
				return false
			case out := <-p.queue:
				p.taken(out)
				p.batch = append(p.batch, out)
				p.window.busy = out.done == nil && time.Since(p.window.began) < p.window.length/2
			}
		}
		if p.window.busy {
			p.pause(ctx)
		}
		p.holdBack(ctx)
		if ctx.Err() != nil {
			return false
		}
		some := p.fill()
		p.window.busy = p.window.busy && len(p.batch) >= worthwhile
		if some {
			p.window.began = time.Now()
			return true
		}
	}
}

// pause waits for the end of the window, or for a message that somebody waits
// for.
func (p *publisher) pause(ctx context.Context) {
	left := time.Until(p.window.began.Add(p.window.length))
	if left <= 0 || p.window.full {
		return
	}
	select {
	case <-p.hurry: // for one that is published already, or is counted
	default:
	}
	if p.urgent.Load() > 0 {
		return
	}
	if p.window.timer == nil {
		p.window.timer = time.NewTimer(left)
	} else {
		p.window.timer.Reset(left)
	}
	defer p.window.timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.window.timer.C:
	case <-p.hurry:
	}
}

// holdBack waits until it is time to publish.
func (p *publisher) holdBack(ctx context.Context) {
	after := p.after.Load()
	if after == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(time.Unix(0, after))):
	}
	p.after.CompareAndSwap(after, 0)
}

// fill adds what waits already to the batch, and reports whether there is
// something in it.
func (p *publisher) fill() bool {
	size := 0
	for _, out := range p.batch {
		size += len(out.payload)
	}
	for len(p.batch) < publishBatch && size < publishBytes {
		select {
		case out := <-p.queue:
			p.taken(out)
			p.batch = append(p.batch, out)
			size += len(out.payload)
		default:
			p.window.full = false
			return len(p.batch) > 0
		}
	}
	p.window.full = true
	return true
}
