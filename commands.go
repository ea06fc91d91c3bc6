package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redismove"
	"github.com/moim-live/moim/modules/redisrole"
)

// commands is the command line. Each configuration key is also a flag.
type commands struct {
	kong.Plugins

	Config string `help:"configuration file (default: moim.yaml, if it exists)" placeholder:"FILE" type:"path" name:"config"`

	Serve     serveCommand     `cmd:"" default:"withargs" help:"Run a node (the default)."`
	Check     checkCommand     `cmd:"" help:"Examine the configuration, files, database and Redis, and say what to do."`
	Backup    backupCommand    `cmd:"" help:"Copy the SQLite database, also while a node runs."`
	Restore   restoreCommand   `cmd:"" help:"Replace the SQLite database by a backup."`
	Import    importCommand    `cmd:"" help:"Write groups of another system, or of another database, to the database."`
	Export    exportCommand    `cmd:"" help:"Write the groups of the database to a file that import reads."`
	Migrate   migrateCommand   `cmd:"" help:"Migrate the database schema, or show its migrations."`
	Token     tokenCommand     `cmd:"" help:"Sign and print a token for a user."`
	Hooks     hooksCommand     `cmd:"" help:"List, replay or test hooks, through a node that runs."`
	Redis     redisCommand     `cmd:"" help:"Check the Redis roles, or move one to another server."`
	Effective effectiveCommand `cmd:"" name:"config" help:"Print the effective configuration. Secrets are hidden."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// loader loads the configuration for the commands that need it.
type loader struct {
	file  string
	flags any
}

func (l *loader) load() (config.Config, error) {
	return config.Load(config.Options{File: l.file, Environ: os.Environ(), Flags: config.FlagValues(l.flags)})
}

type serveCommand struct{}

// Run serves until SIGTERM or SIGINT, then drains. A second signal exits at
// once. SIGHUP reloads the configuration.
func (serveCommand) Run(l *loader) error {
	cfg, err := l.load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	log := newLogger(cfg.Log, level, os.Stderr)
	redisrole.LogTo(log)
	return app.Serve(cfg, app.WithLogger(log), app.WithVersion(version), app.WithLogLevel(level), app.WithReload(l.load), app.WithProfiles(profiles()))
}

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply all pending migrations."`
	Down   migrateDown   `cmd:"" help:"Undo the latest migration."`
	Status migrateStatus `cmd:"" help:"List applied and pending migrations."`
}

type (
	migrateUp   struct{}
	migrateDown struct {
		Yes bool `help:"do not ask"`
	}
	migrateStatus struct{}
)

// Run applies the pending migrations.
func (migrateUp) Run(l *loader) error {
	return withMigrator(l, func(ctx context.Context, m *database.Migrator) error {
		done, err := m.Up(ctx)
		return report("applied", done, err)
	})
}

// Run undoes the latest migration.
func (c migrateDown) Run(l *loader) error {
	if !c.Yes {
		if err := confirm("Undo the latest migration? What its tables hold is lost."); err != nil {
			return err
		}
	}
	return withMigrator(l, func(ctx context.Context, m *database.Migrator) error {
		done, err := m.Down(ctx)
		return report("undone", done, err)
	})
}

// Run lists the migrations.
func (migrateStatus) Run(l *loader) error {
	return withMigrator(l, func(ctx context.Context, m *database.Migrator) error {
		all, err := m.Status(ctx)
		for _, step := range all {
			state := "pending"
			if !step.AppliedAt.IsZero() {
				state = "applied " + step.AppliedAt.UTC().Format(time.RFC3339)
			}
			fmt.Printf("%04d  %-20s %s\n", step.Version, step.Name, state)
		}
		return err
	})
}

// confirm asks the question on the terminal. It returns an error unless the answer is yes.
func confirm(question string) error {
	if !isTerminal(os.Stdin) {
		return errors.New("this command asks for confirmation, but there is no terminal: add --yes")
	}
	fmt.Print(question, " Type yes: ")
	var answer string
	_, _ = fmt.Scanln(&answer)
	if answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

func report(what string, steps []database.Migration, err error) error {
	for _, step := range steps {
		fmt.Printf("%s %04d %s\n", what, step.Version, step.Name)
	}
	if err == nil && len(steps) == 0 {
		fmt.Println("nothing to do")
	}
	return err
}

func withMigrator(l *loader, fn func(context.Context, *database.Migrator) error) error {
	return interruptibly(l, func(ctx context.Context, cfg config.Config) error {
		log := newLogger(cfg.Log, new(slog.LevelVar), os.Stderr) // shows the progress of a migration of many rows
		m, err := database.OpenMigrator(ctx, cfg.Database, cfg.Data.Dir, log)
		if err != nil {
			return err
		}
		defer m.Close()
		return fn(ctx, m)
	})
}

type tokenCommand struct {
	User  string        `required:"" help:"user id"`
	Name  string        `help:"display name of the user"`
	Scope string        `help:"admin for an application's back end, and the calls that the token may make, such as groups:read; default: all"`
	TTL   time.Duration `help:"how long the token is valid" default:"1h"`
}

// Run prints a token signed with auth.secret or the development secret.
func (c tokenCommand) Run(l *loader) error {
	cfg, err := l.load()
	if err != nil {
		return err
	}
	if c.TTL <= 0 {
		return errors.New("--ttl: must be above 0")
	}
	token, err := signToken(cfg, auth.Identity{UserID: c.User, Name: c.Name, Expires: time.Now().Add(c.TTL)}, c.Scope)
	if err != nil {
		return err
	}
	fmt.Println(token)
	return nil
}

// signToken signs a token with auth.secret or the development secret.
func signToken(cfg config.Config, id auth.Identity, scope string) (string, error) {
	if cfg.Auth.Empty() {
		secret, created, err := auth.DevelopmentSecret(cfg.Data.Dir)
		if err != nil {
			return "", err
		}
		cfg.Auth.Secret = string(secret)
		if created {
			fmt.Fprintf(os.Stderr, "moim: made a new development secret in %s: nodes with another data.dir refuse this token\n", cfg.Data.Dir)
		}
	}
	if cfg.Auth.Secret == "" {
		return "", errors.New("set auth.secret to sign tokens: auth.jwks.url and auth.public.key hold no private key")
	}
	id, err := id.WithScope(scope)
	if err != nil {
		return "", fmt.Errorf("--scope: %w", err)
	}
	return cfg.Auth.Mint(id)
}

type redisCommand struct {
	Check redisCheck `cmd:"" help:"Show the server, topology, round trip and number of keys of each role, and the phase of a move."`
	Move  redisMove  `cmd:"" help:"Move a role to another server without downtime."`
}

type redisCheck struct{}

// Run prints a line for each role.
func (redisCheck) Run(l *loader) error {
	cfg, err := l.load()
	if err != nil {
		return err
	}
	redisrole.LogTo(slog.New(slog.DiscardHandler))
	clients, err := redisrole.New(cfg.Redis, "check", nil)
	if err != nil {
		return err
	}
	defer func() { _ = clients.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()

	moves := movesOf(ctx, cfg)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ROLE\tSOURCE\tWHERE\tTOPOLOGY\tPHASE\tROUND TRIP\tKEYS")
	var down []error
	var advice []string
	for _, r := range clients.Check(ctx) {
		fmt.Fprintln(out, strings.Join(roleLine(r, moves), "\t"))
		advice = append(advice, r.Advice()...)
		if m := moves[r.Role]; m.MovedFrom(r.Where) {
			advice = append(advice, fmt.Sprintf("the %[1]s role was moved to %[2]s: set redis.%[1]s.url to that server's URL", r.Role, m.Server()))
		}
		if r.Err != nil {
			down = append(down, fmt.Errorf("%s role: %w", r.Role, r.Err))
		}
	}
	down = append(down, out.Flush())
	for _, a := range slices.Compact(advice) {
		fmt.Println(a)
	}
	return errors.Join(down...)
}

// roleLine returns the table row of a role.
func roleLine(r redisrole.Report, moves map[redisrole.Role]redismove.Move) []string {
	phase := "unknown"
	if moves != nil {
		phase = moves[r.Role].Phase.String()
	}
	if r.Source == redisrole.None {
		return []string{string(r.Role), "none", "in this process", "-", "-", "-", "-"}
	}
	if r.Err != nil {
		return []string{string(r.Role), string(r.Source), r.Where, "-", phase, "down", "-"}
	}
	keys := strconv.FormatInt(r.Keys, 10)
	if r.KeysMore {
		keys += "+"
	}
	return []string{string(r.Role), string(r.Source), r.Where, r.Topology, phase, r.RoundTrip.Round(time.Microsecond).String(), keys}
}

type effectiveCommand struct{}

// Run prints the effective configuration.
func (effectiveCommand) Run(l *loader) error {
	cfg, err := l.load()
	if err != nil {
		return err
	}
	return cfg.Print(os.Stdout)
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println("moim", version)
	return nil
}

func newLogger(cfg config.Log, level *slog.LevelVar, out *os.File) *slog.Logger {
	_ = level.UnmarshalText([]byte(cfg.Level)) // config.Load has validated it
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" || cfg.Format == "" && !isTerminal(out) {
		return slog.New(slog.NewJSONHandler(out, opts))
	}
	return slog.New(slog.NewTextHandler(out, opts))
}

func isTerminal(f *os.File) bool {
	return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd())
}
