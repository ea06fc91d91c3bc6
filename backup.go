package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/database"
)

type backupCommand struct {
	File string `arg:"" help:"new file for the copy" type:"path"`
}

// Help returns examples for the help of the command.
func (backupCommand) Help() string {
	return "A node may be running and goes on. The copy is the SQLite database at one moment.\n\nExample: moim backup moim-monday.db"
}

// Run copies the database.
func (c backupCommand) Run(l *loader) error {
	return interruptibly(l, func(ctx context.Context, cfg config.Config) error {
		if err := database.Backup(ctx, cfg.Database, cfg.Data.Dir, c.File); err != nil {
			return err
		}
		fmt.Println("the backup is in", c.File)
		return nil
	})
}

type restoreCommand struct {
	File string `arg:"" help:"file that moim backup wrote" type:"path"`
}

// Help returns examples for the help of the command.
func (restoreCommand) Help() string {
	return "Stop the node first. The database that is replaced is kept beside the new one.\n\nExample: moim restore moim-monday.db"
}

// Run replaces the database.
func (c restoreCommand) Run(l *loader) error {
	return interruptibly(l, func(ctx context.Context, cfg config.Config) error {
		file, err := openInput(c.File)
		if err != nil {
			return err
		}
		_ = file.Close()
		replaced, err := database.Restore(ctx, cfg.Database, cfg.Data.Dir, c.File)
		if replaced != "" {
			fmt.Println("the database that was there is now", replaced)
		}
		if err != nil {
			return err
		}
		fmt.Println("the database is restored from", c.File)
		return nil
	})
}

// interruptibly runs fn with the configuration. SIGTERM and SIGINT end its context.
func interruptibly(l *loader, fn func(context.Context, config.Config) error) error {
	cfg, err := l.load()
	if err != nil {
		return err
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	return fn(ctx, cfg)
}
