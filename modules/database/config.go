package database

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Config locates the database.
type Config struct {
	// URL is sqlite:PATH or a postgres:// URL. The latter takes the parameters of libpq,
	// and pool_max_conns: the maximum number of connections of one node (default 20). An
	// empty URL means moim.db in the data directory.
	URL string `key:"url" help:"database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE; empty: moim.db in data.dir"`
}

// WithDefaults returns c. An empty URL stays empty, because the data directory
// is not known here.
func (c Config) WithDefaults() Config { return c }

// Validate reports an invalid URL. The error does not contain the password.
func (c Config) Validate() error {
	_, err := c.parse(".")
	return err
}

// These errors contain no part of the URL: after a typing mistake, the password may be
// parsed as the host or the port.
var (
	errURL         = errors.New("database.url: must be empty, sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE")
	errPostgresURL = errors.New("database.url: is not a valid PostgreSQL URL (in user and password, write special characters as %XX)")
	errMemory      = errors.New("database.url: sqlite:PATH needs the path of a file")
)

// location is a parsed URL. Either file or postgres is set.
type location struct {
	file     string // absolute path of the SQLite file
	postgres *pgxpool.Config
	maxConns int

	modeGiven bool // the URL has default_query_exec_mode
}

// defaultMaxConns is the default maximum number of connections of a node to PostgreSQL.
const defaultMaxConns = 20

func (c Config) parse(dataDir string) (location, error) {
	scheme, rest, _ := strings.Cut(c.URL, ":")
	switch {
	case c.URL == "":
		return sqliteLocation(filepath.Join(dataDir, "moim.db"))
	case scheme == "sqlite":
		return sqliteLocation(rest)
	case (scheme == "postgres" || scheme == "postgresql") && strings.HasPrefix(rest, "//"):
		return postgresLocation(c.URL)
	default:
		return location{}, errURL
	}
}

func sqliteLocation(path string) (location, error) {
	// sqlite:///var/lib/moim.db means the same as sqlite:/var/lib/moim.db.
	if rest, ok := strings.CutPrefix(path, "//"); ok && strings.HasPrefix(rest, "/") {
		path = rest
	}
	if path == "" || strings.HasPrefix(path, "//") || strings.HasPrefix(path, ":") || strings.ContainsRune(path, 0) {
		return location{}, errMemory
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return location{}, err
	}
	return location{file: abs}, nil
}

func postgresLocation(raw string) (location, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return location{}, errPostgresURL
	}
	cfg, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return location{}, errPostgresURL
	}
	loc := location{postgres: cfg, maxConns: defaultMaxConns}
	if u.Query().Has("pool_max_conns") {
		loc.maxConns = int(cfg.MaxConns)
	}
	loc.modeGiven = u.Query().Has("default_query_exec_mode")
	return loc, nil
}
