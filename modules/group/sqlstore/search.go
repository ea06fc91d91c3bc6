package sqlstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

const (
	// searchesAtOnce is the maximum number of searches that run at a time, so that they
	// leave connections and processors for other work.
	searchesAtOnce = 4
	// searchMatches is the maximum number of names that the index may find. If there are
	// more, it is cheaper to compare names in order, from the newest.
	searchMatches = 20_000
	// searchGrams is the maximum number of grams that are looked up in the index. Its
	// results are compared with the whole query anyway.
	searchGrams = 32
)

// searchWindows are the numbers of newest public groups that are compared one by one. The
// last window has all groups.
var searchWindows = []int64{1000, 8000, 64_000, 1 << 40}

// searchStatements find groups whose name is like $1, with ids before $2, at most $3. They
// find public groups, or all that are not deleted.
type searchStatements struct {
	private bool     // include private groups
	newest  string   // lists all of them, without $1
	windows []string // search among the newest groups: see searchWindows
	index   string   // searches among at most searchMatches groups with the grams $4
	count   string   // counts the groups with the grams $1, up to searchMatches + 1
}

func newSearchStatements(d database.Dialect, private bool) searchStatements {
	const live, public = `deleted_at IS NULL`, `visibility = 'public' AND deleted_at IS NULL`
	within := public
	if private {
		within = live
	}
	const columns = groupColumns + `, g.moved_at, g.deleted_at`
	s := searchStatements{
		private: private,
		newest:  `SELECT ` + columns + ` FROM groups g WHERE ` + within + ` AND id < $1 ORDER BY id DESC LIMIT $2`,
	}
	// Without LATERAL, PostgreSQL may join with all groups.
	whole := ` hits CROSS JOIN groups g ON g.id = hits.id`
	if d == database.Postgres {
		whole = ` hits CROSS JOIN LATERAL (SELECT * FROM groups WHERE id = hits.id OFFSET 0) g`
	}
	among := func(compared string) string {
		return `SELECT ` + columns + ` FROM (SELECT id FROM (` + compared + `) compared
			WHERE search LIKE $1 ESCAPE '\' AND id < $2 ORDER BY id DESC LIMIT $3)` + whole + ` ORDER BY g.id DESC`
	}
	for _, n := range searchWindows {
		s.windows = append(s.windows, among(fmt.Sprintf(`SELECT id, search FROM groups WHERE `+within+` AND id < $2 ORDER BY id DESC LIMIT %d`, n)))
	}
	found := func(grams string) string {
		if d == database.Postgres {
			one := func(where string) string {
				return fmt.Sprintf(`(SELECT id, search FROM groups WHERE `+where+`
					AND search_grams(search) @> ARRAY(SELECT jsonb_array_elements_text(CAST(%s AS jsonb))) LIMIT %d)`, grams, searchMatches+1)
			}
			if !private {
				return one(public)
			}
			// Each part has its own index.
			return one(public) + ` UNION ALL ` + one(`visibility <> 'public' AND deleted_at IS NULL`)
		}
		return fmt.Sprintf(`SELECT g.id, g.search FROM (SELECT rowid AS n FROM search_grams WHERE search_grams MATCH %s LIMIT %d) m
			CROSS JOIN searches s ON s.n = m.n CROSS JOIN groups g ON g.id = s.group_id`, grams, searchMatches+1)
	}
	s.index = among(found("$4"))
	s.count = `SELECT COUNT(*) FROM (` + found("$1") + `) found`
	return s
}

// PublicGroups lists public groups, newest first. It ignores case and different Unicode
// encodings of the same letter.
//
// If many names contain a word, some of the newest groups do, so no index is needed. The
// index finds rare words. The slowest search is for a word in many names but in none of the
// newest groups, because more and more groups are compared.
func (s *Store) PublicGroups(ctx context.Context, query, before string, limit int) ([]group.Group, error) {
	if !storable(query) || !storable(before) {
		return []group.Group{}, nil
	}
	found, err := s.findByName(ctx, &s.sql.searchPublic, query, before, limit)
	groups := make([]group.Group, len(found))
	for i, g := range found {
		groups[i] = g.Group
	}
	return groups, err
}

// findByName lists groups like PublicGroups, among those that the statements cover.
func (s *Store) findByName(ctx context.Context, in *searchStatements, query, before string, limit int) ([]group.FoundGroup, error) {
	groups := []group.FoundGroup{}
	before, text := upTo(before), searchable(query)
	read := func(l *listing, rows int) error {
		found, err := s.findNamed(ctx, in, text, before, rows)
		if err != nil {
			return err
		}
		for _, g := range found {
			if err := l.next(); err != nil {
				return err
			}
			l.text += len(g.Name) + len(g.Description) + len(g.Attributes)
			groups, before = append(groups, g), g.ID
		}
		return nil
	}
	if text == "" {
		err := inChunks(limit, read)
		return groups, err
	}
	// Do not read in chunks: repeating a search costs more than a few rows too many, and
	// few searches run at a time.
	err := whole(read(&listing{}, limit))
	return groups, err
}

func (s *Store) findNamed(ctx context.Context, in *searchStatements, text, before string, limit int) ([]group.FoundGroup, error) {
	if text == "" {
		groups, err := s.listFound(ctx, in.newest, args{before, limit})
		return groups, doing(err, "list groups", "")
	}
	var groups []group.FoundGroup
	err := s.searchAmongFew(ctx, func(ctx context.Context) (err error) {
		groups, err = s.search(ctx, in, text, before, limit)
		return err
	})
	return groups, doing(err, "search groups", "")
}

// searchAmongFew runs a search that may read many rows. A node runs few of them at a time.
func (s *Store) searchAmongFew(ctx context.Context, search func(ctx context.Context) error) error {
	ctx, cancel := database.WithDeadline(ctx)
	defer cancel()
	select {
	case s.searching <- struct{}{}:
		defer func() { <-s.searching }()
	case <-ctx.Done():
		return doing(database.Translate(ctx.Err()), "wait for other searches", "")
	}
	return search(ctx)
}

func (s *Store) search(ctx context.Context, in *searchStatements, text, before string, limit int) (groups []group.FoundGroup, err error) {
	a := args{"%" + likeEscaper.Replace(text) + "%", before, limit}
	asked := false
	for i, window := range in.windows {
		if groups, err = s.listFound(ctx, window, a); err != nil || len(groups) >= limit {
			return groups, err
		}
		// If this much of a page was found, the next window probably has the rest.
		if asked || i == 0 && int64(len(groups))*searchWindows[1] >= int64(limit)*searchWindows[0] {
			continue
		}
		asked = true
		if groups, few, err := s.askIndex(ctx, in, text, a); few || err != nil {
			return groups, err
		}
	}
	return groups, nil
}

// askIndex finds groups with the index, if few groups have the grams of the text.
func (s *Store) askIndex(ctx context.Context, in *searchStatements, text string, a args) (groups []group.FoundGroup, few bool, err error) {
	grams, err := s.grams(in, text)
	if err != nil {
		return nil, false, err
	}
	count := 0
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, in.count, grams).Scan(&count)
	})
	switch {
	case err != nil || count > searchMatches:
		return nil, false, err
	case count == 0:
		return []group.FoundGroup{}, true, nil
	}
	groups, err = s.listFound(ctx, in.index, slices.Concat(a, args{grams}))
	return groups, true, err
}

func (s *Store) listFound(ctx context.Context, text string, a args) (groups []group.FoundGroup, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = []group.FoundGroup{}
		return each(ctx, q, text, a, func(scan scanner) error {
			g, err := scanFound(scan)
			groups = append(groups, g)
			return err
		})
	})
	return groups, err
}

// grams returns the grams to look up in the index: the pairs of characters, or a single
// character. On SQLite, the words of private names begin with P.
func (s *Store) grams(in *searchStatements, text string) (string, error) {
	chars := []rune(text)
	grams := []string{}
	for i := range max(1, min(len(chars)-1, searchGrams)) {
		grams = append(grams, string(chars[i:min(i+2, len(chars))]))
	}
	if s.db.Dialect() == database.Postgres {
		list, err := json.Marshal(grams)
		return string(list), err
	}
	public, private := make([]string, len(grams)), make([]string, len(grams))
	for i, g := range grams {
		public[i] = strings.ToUpper(hex.EncodeToString([]byte(g)))
		private[i] = "P" + public[i]
	}
	if !in.private {
		return strings.Join(public, " "), nil
	}
	return "(" + strings.Join(public, " AND ") + ") OR (" + strings.Join(private, " AND ") + ")", nil
}

// likeEscaper escapes text so that it matches itself in LIKE … ESCAPE '\'.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// searchable returns the form of a name or query that is compared in a search.
func searchable(name string) string { return strings.ToLower(norm.NFKC.String(name)) }
