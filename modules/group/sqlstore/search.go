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
	// searchesAtOnce bounds the searches that run at the same time, so that they
	// leave connections and processors to everything else.
	searchesAtOnce = 4
	// searchMatches bounds the names of which the index is asked. More of them are
	// cheaper to find in order, from the newest.
	searchMatches = 20_000
	// searchGrams bounds the words of a query for the index. What it finds is
	// compared with the whole query anyway.
	searchGrams = 32
)

// searchWindows are how many of the newest public groups are compared one by one.
// The last window has all.
var searchWindows = []int64{1000, 8000, 64_000, 1 << 40}

// searchStatements find groups whose name is like $1, with ids before $2, at most $3:
// public ones, or all that are not deleted.
type searchStatements struct {
	private bool     // private groups, too
	newest  string   // all of them, without $1
	windows []string // among the newest: see searchWindows
	index   string   // among at most searchMatches with the grams $4
	count   string   // counts those with the grams $1, up to one more
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
			// Each has an index of its own.
			return one(public) + ` UNION ALL ` + one(`visibility <> 'public' AND deleted_at IS NULL`)
		}
		return fmt.Sprintf(`SELECT g.id, g.search FROM (SELECT rowid AS n FROM search_grams WHERE search_grams MATCH %s LIMIT %d) m
			CROSS JOIN searches s ON s.n = m.n CROSS JOIN groups g ON g.id = s.group_id`, grams, searchMatches+1)
	}
	s.index = among(found("$4"))
	s.count = `SELECT COUNT(*) FROM (` + found("$1") + `) found`
	return s
}

// PublicGroups lists public groups, newest first. It ignores the case of letters
// and their different encodings in Unicode.
//
// A word that is in many names is found among the newest groups, without the
// index. The index finds the others. A word in many names that none of the newest
// has is the slowest: then more and more groups are compared.
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

// findByName lists groups as PublicGroups does, within what the statements say.
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
	// A search costs more than the rows that a full page leaves out, and few run at once.
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

// searchAmongFew runs a search that may read many rows. A node runs few at once.
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
		// If this much of a page was found, the next window has the rest of it.
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

// askIndex finds groups with the index, if it has few with the grams of the text.
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

// grams returns what the index is asked for: the pairs of characters, or the only
// one. On SQLite, the words of private names begin with P.
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

// likeEscaper makes text match itself in LIKE … ESCAPE '\'.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// searchable returns the form of a name or query that a search compares.
func searchable(name string) string { return strings.ToLower(norm.NFKC.String(name)) }
