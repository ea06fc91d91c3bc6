//go:build linux

package centrifuge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
)

// Serve runs a node on addr, alone or with those on the same Redis: anybody
// may connect and subscribe to anything, and POST /publish?channel=NAME sends
// its body to the channel. A delay gathers a client's messages for so long
// before they are written.
func Serve(addr, redisAddr string, delay time.Duration) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	if redisAddr != "" {
		if err := throughRedis(node, redisAddr); err != nil {
			return err
		}
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "user"}, WriteDelay: delay}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = node.Publish(r.URL.Query().Get("channel"), body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: time.Minute}
	return errors.Join(server.ListenAndServe(), node.Shutdown(context.Background()))
}

func throughRedis(node *centrifuge.Node, addr string) error {
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: addr})
	if err != nil {
		return err
	}
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	if err != nil {
		return err
	}
	node.SetBroker(broker)
	return nil
}
