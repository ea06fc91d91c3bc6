package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/engine"
)

// reasons records why sockets were closed, by the key of the client and the namespace.
type reasons struct {
	mu    sync.Mutex
	byKey map[string]string
}

// reference has the same handlers as compare/server.mjs.
type reference struct {
	out     *socket.Emitter
	reasons *reasons
}

// values are the decoded arguments of an event.
type values struct {
	args socket.Args
	err  error
}

func (v *values) text(i int) (s string) {
	v.err = errors.Join(v.err, v.args.Decode(i, &s))
	return s
}

// texts decodes a string or a list of strings.
func (v *values) texts(i int) []string {
	var list []string
	if v.args.Decode(i, &list) == nil {
		return list
	}
	return []string{v.text(i)}
}

func (r *reference) handlers() []socket.Handler {
	on := func(event string, fn func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error)) socket.Handler {
		return socket.OnRaw(event, func(ctx context.Context, s *socket.Socket, args socket.Args) (socket.Args, error) {
			v := &values{args: args}
			reply, err := fn(ctx, s, v)
			return reply, errors.Join(v.err, err)
		})
	}
	target := func(s *socket.Socket, rooms []string) socket.Target { return r.out.Of(s.Namespace()).To(rooms...) }
	return []socket.Handler{
		socket.OnDisconnect(func(s *socket.Socket, reason engine.Reason) {
			r.reasons.mu.Lock()
			defer r.reasons.mu.Unlock()
			r.reasons.byKey[key(s)+s.Namespace()] = reason.String()
		}),
		on("echo", func(_ context.Context, _ *socket.Socket, v *values) (socket.Args, error) { return v.args, nil }),
		on("push", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Emit(v.text(0), v.args[1:]...)
		}),
		on("ask", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return s.EmitWithAck(ctx, "question", v.args[0])
		}),
		on("join", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Join(v.text(0))
		}),
		on("leave", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Leave(v.text(0))
		}),
		on("rooms", func(_ context.Context, s *socket.Socket, _ *values) (socket.Args, error) {
			rooms := s.Rooms()
			rooms[slices.Index(rooms, s.ID())] = "<id>"
			slices.Sort(rooms)
			return socket.Args{rooms}, nil
		}),
		on("others", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.To(v.text(0)).Emit(ctx, v.text(1), v.args[2:]...)
		}),
		on("everyone", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Emit(ctx, v.text(1), v.args[2:]...)
		}),
		on("recovered", func(_ context.Context, s *socket.Socket, _ *values) (socket.Args, error) {
			return socket.Args{s.Recovered()}, nil
		}),
		on("all", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, nil).Emit(ctx, v.text(0), v.args[1:]...)
		}),
		on("volatileAll", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, nil).Volatile().Emit(ctx, v.text(0), v.args[1:]...)
		}),
		on("several", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Emit(ctx, v.text(1), v.args[2:]...)
		}),
		on("ids", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			found, err := target(s, v.texts(0)).Sockets(ctx)
			ids := []string{}
			for _, other := range found {
				ids = append(ids, other.ID)
			}
			slices.Sort(ids)
			return socket.Args{ids}, err
		}),
		on("except", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Except(v.text(1)).Emit(ctx, v.text(2))
		}),
		on("moveAll", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			from := target(s, v.texts(0))
			return nil, errors.Join(from.Join(ctx, v.text(1)), from.Leave(ctx, v.text(0)))
		}),
		on("found", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			found, err := target(s, v.texts(0)).Sockets(ctx)
			sizes := []int{}
			for _, other := range found {
				sizes = append(sizes, len(other.Rooms))
			}
			slices.Sort(sizes)
			return socket.Args{sizes}, err
		}),
		on("askAll", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			replies, err := target(s, v.texts(0)).EmitWithAck(ctx, "question", v.args[1])
			texts := []string{}
			for _, ack := range slices.Concat(slices.Collect(maps.Values(replies.Acks)), replies.Bridged) {
				texts = append(texts, (&values{args: ack}).text(0))
			}
			slices.Sort(texts)
			if err != nil && !errors.Is(err, socket.ErrIncomplete) {
				return nil, err
			}
			return socket.Args{texts, err == nil}, nil
		}),
		on("kick", func(ctx context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, target(s, v.texts(0)).Disconnect(ctx)
		}),
		on("goodbye", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			var all bool
			err := v.args.Decode(0, &all)
			s.Disconnect(all)
			return nil, err
		}),
		on("volatile", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			return nil, s.Volatile().Emit(v.text(0))
		}),
		on("remember", func(_ context.Context, s *socket.Socket, v *values) (socket.Args, error) {
			data := socket.Data[struct{ Value any }](s)
			last := data.Value
			data.Value = v.args[0]
			return socket.Args{last}, nil
		}),
		on("handshake", func(_ context.Context, s *socket.Socket, _ *values) (socket.Args, error) {
			h := s.Handshake()
			optional := func(text string) any {
				if text == "" {
					return nil
				}
				return text
			}
			return socket.Args{map[string]any{"auth": h.Auth, "color": optional(h.Header.Get("X-Color")), "shape": optional(h.Query.Get("shape"))}}, nil
		}),
		on("reason", func(_ context.Context, _ *socket.Socket, v *values) (socket.Args, error) {
			r.reasons.mu.Lock()
			defer r.reasons.mu.Unlock()
			if reason, known := r.reasons.byKey[v.text(0)]; known {
				return socket.Args{reason}, nil
			}
			return socket.Args{nil}, nil
		}),
	}
}

func key(s *socket.Socket) string {
	var auth struct{ Key string }
	_ = json.Unmarshal(s.Handshake().Auth, &auth) // without a key, no test asks for the reason
	return auth.Key
}
