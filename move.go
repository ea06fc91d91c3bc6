package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/redisrole"
)

// redisMove moves a role to another Redis server.
type redisMove struct {
	Role string `required:"" help:"the role to move: socket, group or cache" placeholder:"ROLE"`
	To   string `help:"URL of the new server; omit it to resume a move" placeholder:"URL"`
	From string `help:"URL of the current server; the move is refused if the role is elsewhere" placeholder:"URL"`
	Back bool   `help:"take back the move that is in progress"`
}

var errOneNode = errors.New("a deployment on SQLite has one node: change its configuration and restart it")

// Run carries out the move and prints its progress.
func (c redisMove) Run(l *loader) error {
	cfg, err := l.load()
	if err != nil {
		return err
	}
	if c.Back && c.To != "" {
		return errors.New("--to: cannot be combined with --back: the role returns to its old server")
	}
	if c.Role == string(redisrole.Socket) && !cfg.SocketsUseRedis() {
		return fmt.Errorf("the socket role does not use Redis: socket.adapter is %q", cfg.Socket.Adapter)
	}
	redisrole.LogTo(slog.New(slog.DiscardHandler))
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	db, err := shared(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = db.Stop(context.WithoutCancel(ctx)) }()
	leader, err := redismove.NewLeader(db, cfg.Redis, redismove.Secret{Key: cfg.Auth.Secret, Previous: cfg.Auth.PreviousSecret})
	if err != nil {
		return err
	}
	defer func() { _ = leader.Close() }()
	leader.Progress = func(text string) { fmt.Println(text) }
	done, err := leader.Lead(ctx, redismove.Order{Role: redisrole.Role(c.Role), To: c.To, From: c.From, Back: c.Back})
	if err != nil {
		return err
	}
	if done.Phase == redismove.Settled {
		fmt.Printf("taken back: the %s role is on %s again\n", done.Role, done.Source)
		return nil
	}
	fmt.Printf("done. Nodes with the old configuration also use %s, and log a warning. Update the configuration of every node:\n\n", done.Target)
	fmt.Printf("redis.%s.url: the URL of %s\n", done.Role, done.Target)
	return nil
}

// shared opens the database that the nodes share. It does not migrate the
// database, because the nodes do that.
func shared(ctx context.Context, cfg config.Config) (*database.DB, error) {
	quiet := slog.New(slog.DiscardHandler)
	db, err := database.Open(cfg.Database, cfg.Data.Dir, quiet)
	if err != nil {
		return nil, err
	}
	if db.Dialect() == database.SQLite {
		return nil, errOneNode
	}
	m, err := database.OpenMigrator(ctx, cfg.Database, cfg.Data.Dir, quiet)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	steps, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		if step.AppliedAt.IsZero() {
			return nil, errors.New("the database has pending migrations: start the nodes of this version first")
		}
	}
	err = db.Start(ctx)
	return db, err
}

// movesOf returns the latest move of each role, or nil if the database cannot be
// read.
func movesOf(ctx context.Context, cfg config.Config) map[redisrole.Role]redismove.Move {
	db, err := shared(ctx, cfg)
	if errors.Is(err, errOneNode) {
		return map[redisrole.Role]redismove.Move{} // a single node never moves a role
	}
	if err != nil {
		return nil
	}
	defer func() { _ = db.Stop(context.WithoutCancel(ctx)) }()
	moves, err := redismove.Moves(ctx, db)
	if err != nil {
		return nil
	}
	return moves
}
