package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/fault"
)

const (
	eventStream = "text/event-stream"
	// maxStreams is the maximum number of live pages at a time.
	maxStreams = 32
	// streamPatience is the time that a browser has to receive one fragment.
	streamPatience = 30 * time.Second
)

// streams are the streams of live pages. The zero value is ready.
type streams struct {
	mu      sync.Mutex
	open    map[*stream]struct{}
	stopped bool
}

type stream struct {
	token  string
	cancel context.CancelCauseFunc
}

var errSignedOut = errors.New("console: signed out")

// enter adds a stream. It returns false if there are too many.
func (s *streams) enter(token string, cancel context.CancelCauseFunc) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.open) >= maxStreams {
		return nil, false
	}
	if s.open == nil {
		s.open = make(map[*stream]struct{})
	}
	one := &stream{token: token, cancel: cancel}
	s.open[one] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, one)
	}, true
}

// end ends the streams of a session.
func (s *streams) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.open {
		if one.token == token {
			one.cancel(errSignedOut)
		}
	}
}

func (s *streams) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for one := range s.open {
		one.cancel(context.Canceled)
	}
}

// stream sends the live part of a view when it has changed, until the session or the node
// ends. If nothing has changed, it sends a comment, so that proxies keep the connection.
func (c *Console) stream(g *gin.Context, w *view, v visit) {
	ctx, cancel := context.WithCancelCause(g.Request.Context())
	defer cancel(nil)
	leave, ok := c.streams.enter(v.token, cancel)
	if !ok {
		c.fail(g, v, fault.ErrUnavailable.WithMessage("this node already updates as many open pages as it can: reload to see what is new"))
		return
	}
	defer leave()
	control := http.NewResponseController(g.Writer)
	_ = control.SetReadDeadline(time.Time{}) // otherwise the server's deadline would end the request; a test's recorder has none
	g.Header("Content-Type", eventStream)
	g.Header("X-Accel-Buffering", "no") // nginx
	g.Status(http.StatusOK)
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(streamPatience))
		_, err := g.Writer.WriteString(text)
		return err == nil && control.Flush() == nil
	}
	tick := time.NewTicker(w.live)
	defer tick.Stop()
	shown := ""
	for {
		text, ended := c.fragment(ctx, g, w, v)
		switch {
		case ended, errors.Is(context.Cause(ctx), errSignedOut):
			send("event: end\ndata:\n\n") // the script then reloads the page
			return
		case ctx.Err() != nil:
			return // the browser connects again
		case text == "", text == shown:
			text = ": nothing new\n\n"
		default:
			shown = text
		}
		if !send(text) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// fragment returns the live part as an event. ended means that the token is no longer
// accepted.
func (c *Console) fragment(ctx context.Context, g *gin.Context, w *view, v visit) (event string, ended bool) {
	if _, err := c.identify(g, v.token); err != nil {
		return "", fault.From(err).Kind == fault.Unauthenticated
	}
	data, err := w.data(ctx, v)
	if err != nil {
		return "", false
	}
	var out bytes.Buffer
	if err := w.template.ExecuteTemplate(&out, "live", data); err != nil {
		return "", true
	}
	return "event: fragment\ndata: " + strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", "\ndata: ") + "\n\n", false
}
