package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/transfer"
)

type importCommand struct {
	File string `arg:"" help:"file with one JSON object a line" type:"path"`

	DryRun bool   `help:"check the file, say what an import would write, and write nothing"`
	IDs    string `name:"ids" help:"new file for the ids of groups: the id in the file, a tab, the id in Moim" placeholder:"FILE" type:"path"`
}

// Help returns examples for the help of the command.
func (importCommand) Help() string {
	return "The whole file is checked before anything is written. If an import is interrupted, run it again: it goes on. " +
		"Nodes may be running on PostgreSQL. docs/import.md describes the lines.\n\n" +
		"Examples:\n\n moim import rooms.jsonl --dry-run\n\n moim import rooms.jsonl --ids ids.tsv"
}

// Run checks the file and writes what is missing from the database.
func (c importCommand) Run(l *loader) error {
	return interruptibly(l, func(ctx context.Context, cfg config.Config) error {
		file, err := openInput(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		store, closeStore, err := c.open(ctx, cfg)
		if err != nil {
			return err
		}
		defer closeStore()
		im := transfer.New(transfer.Config{
			Groups: cfg.Group.WithDefaults(), File: filepath.Base(c.File), By: operator(), Dry: c.DryRun, Progress: progress(),
		}, store, file)
		report, err := im.Check(ctx)
		if err != nil {
			return err
		}
		if err := printReport(report, cfg.Group.WithDefaults()); err != nil {
			return err
		}
		if c.IDs != "" {
			err := createAgain(c.IDs, func(out io.Writer) error {
				return im.IDs(ctx, func(source, groupID string) error {
					_, err := fmt.Fprintf(out, "%s\t%s\n", source, groupID)
					return err
				})
			})
			if err != nil {
				return err
			}
		}
		written, err := im.Write(ctx)
		if err != nil && !c.DryRun {
			return fmt.Errorf("%w. %d records were written: run the same import again, and it goes on", err, written.All())
		}
		if err != nil {
			return err
		}
		printClashes(im.Clashes())
		return printWritten(report.Counts, written, c.DryRun)
	})
}

// open returns the database. In a dry run, nothing is changed there.
func (c importCommand) open(ctx context.Context, cfg config.Config) (transfer.Store, func(), error) {
	if c.DryRun {
		report, err := database.Check(ctx, cfg.Database, cfg.Data.Dir)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("%s: %w", report.Where, err)
		case report.New:
			return transfer.Empty{}, func() {}, nil
		case report.Pending > 0:
			return nil, nil, fmt.Errorf("%s: the database is of an earlier version: run moim migrate up first", report.Where)
		}
	}
	db, err := database.Open(cfg.Database, cfg.Data.Dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	if err := db.Start(ctx); err != nil {
		return nil, nil, err
	}
	return sqlstore.New(db), func() { _ = db.Stop(context.WithoutCancel(ctx)) }, nil
}

// operator returns the name of the user who runs the command, for the audit log.
func operator() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "moim import"
	}
	return "os:" + u.Username
}

// progress returns a function that shows the progress of an import on a terminal.
func progress() func(step string, lines int) {
	if !isTerminal(os.Stderr) {
		return nil
	}
	var last time.Time
	return func(step string, lines int) {
		if time.Since(last) > time.Second {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "%s: line %d\n", step, lines)
		}
	}
}

// printReport prints the result of a check, and returns an error if there are mistakes.
func printReport(r transfer.Report, cfg group.Config) error {
	for _, m := range r.Mistakes {
		fmt.Println(m)
	}
	if more := r.Wrong - len(r.Mistakes); more > 0 {
		fmt.Printf("and %s not shown\n", count(more, "mistake"))
	}
	if r.Wrong > 0 {
		return fmt.Errorf("the file has %s, and nothing was written: fix what is wrong and run the import again", count(r.Wrong, "mistake"))
	}
	if r.Long > 0 {
		fmt.Printf("%d groups have more than %d messages. Nodes remove the oldest of them that were posted more than %s ago: "+
			"set group.retention.count to keep them\n", r.Long, cfg.RetentionCount, cfg.RetentionAge)
	}
	return nil
}

// printClashes prints the invites that were left out.
func printClashes(c transfer.Clashes) {
	for _, line := range c.Lines {
		fmt.Printf("line %d: invite: left out, because its code is that of an invite to another group\n", line)
	}
	if more := c.All - len(c.Lines); more > 0 {
		fmt.Printf("and %s left out for the same reason\n", count(more, "invite"))
	}
}

func printWritten(lines, written transfer.Counts, dry bool) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	heading := "WRITTEN"
	if dry {
		heading = "WOULD BE WRITTEN"
	}
	fmt.Fprintf(out, "KIND\tLINES\t%s\n", heading)
	for _, row := range []struct {
		kind           string
		lines, written int
	}{
		{"groups", lines.Groups, written.Groups},
		{"members", lines.Members, written.Members},
		{"bans", lines.Bans, written.Bans},
		{"invites", lines.Invites, written.Invites},
		{"messages", lines.Messages, written.Messages},
	} {
		fmt.Fprintf(out, "%s\t%d\t%d\n", row.kind, row.lines, row.written)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if left := lines.All() - written.All(); left > 0 {
		fmt.Printf("%s changed nothing: what is there already stays as it is, and what has expired is left out\n", count(left, "line"))
	}
	return nil
}

type exportCommand struct {
	File string `arg:"" optional:"" help:"new file; default: the standard output" type:"path"`

	Group string `help:"id of the only group to export" placeholder:"ID"`
}

// Help returns examples for the help of the command.
func (exportCommand) Help() string {
	return "A node may be running and goes on. The export is the database at one moment. moim import reads it.\n\n" +
		"Examples:\n\n moim export groups.jsonl\n\n moim export --group 0198c9d2-8f7e-7cc1-a6b4-1f2e3d4c5b6a"
}

// Run writes the groups of the database.
func (c exportCommand) Run(l *loader) error {
	return interruptibly(l, func(ctx context.Context, cfg config.Config) error {
		var written transfer.Counts
		export := func(out io.Writer) error {
			encoder := transfer.NewEncoder(out)
			err := database.Snapshot(ctx, cfg.Database, cfg.Data.Dir, func(ctx context.Context, q database.Querier) error {
				return sqlstore.Export(ctx, q, c.Group, time.Now(), encoder.Put)
			})
			if err != nil {
				return err
			}
			written, err = encoder.Close()
			return err
		}
		var err error
		if c.File == "" {
			err = export(os.Stdout)
		} else {
			err = create(c.File, export)
		}
		if err == nil && c.Group != "" && written.Groups == 0 {
			err = fmt.Errorf("--group: there is no group %s", c.Group)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "exported %s, %s, %s, %s and %s\n", count(written.Groups, "group"), count(written.Members, "member"),
			count(written.Bans, "ban"), count(written.Invites, "invite"), count(written.Messages, "message"))
		return nil
	})
}
