package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/client"
	"github.com/moim-live/moim/config"
)

const secret = "a secret of at least thirty-two bytes"

// node starts a server. A program that uses the client already has one.
func node() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "moim")
	check(err)
	var cfg config.Config
	cfg.Data.Dir, cfg.Auth.Secret, cfg.HTTP.Addr = dir, secret, "127.0.0.1:0"
	server, err := app.NewServer(cfg, app.WithLogger(slog.New(slog.DiscardHandler)))
	check(err)
	check(server.Start(context.Background()))
	return "http://" + server.Addr(), func() {
		check(server.Stop(context.Background()))
		check(os.RemoveAll(dir))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func Example() {
	url, stop := node()
	defer stop()
	ctx := context.Background()

	moim, err := client.New(client.Config{URL: url, Tokens: client.Secret(secret, "shop")})
	check(err)
	g, err := moim.CreateGroup(ctx, client.NewGroup{Name: "Sunday hike", OwnerID: "alice", Capacity: new(2)})
	check(err)
	_, err = moim.AddMembers(ctx, g.ID, []string{"bob"}, map[string]string{"bob": "Bob"})
	check(err)
	_, err = moim.AddMembers(ctx, g.ID, []string{"carol"}, nil)
	fmt.Println(client.Code(err))
	for m, err := range moim.Members(ctx, g.ID) {
		check(err)
		fmt.Println(m.UserID, m.Role)
	}
	// Output:
	// group_full
	// alice owner
	// bob member
}
