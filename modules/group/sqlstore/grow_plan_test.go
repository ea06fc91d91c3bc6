package sqlstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/modules/database"
)

// growing lists the tables that a statement must not read as a whole.
var growing = []string{
	"groups", "members", "events", "outbox", "heads", "user_locks", "bans", "mutes", "requests", "invites", "invitations", "departures", "receipts", "receipt_users", "searches", "search_grams", "renames", "audit", "audit_users", "erasures", "traces", "group_attributes", "group_sizes", "hook_groups", "hook_presence_groups", "hook_presence", "imports",
}

// statement is a statement that the store ran, with its arguments.
type statement struct {
	text string
	args []any
}

// planner explains each statement once.
type planner struct {
	db      *database.DB
	conn    *pgx.Conn // nil if the database is SQLite
	seen    map[string]bool
	whole   []string // descriptions of statements that read a whole table
	explain func(t *testing.T, s statement) (plan string, whole []string)
}

// newPlanner returns a planner for a database. url is set if it is PostgreSQL. PostgreSQL
// is right to read small tables as a whole, so the planner claims that each table has a
// thousand times its rows.
func newPlanner(t *testing.T, db *database.DB, url string) *planner {
	t.Helper()
	p := &planner{db: db, seen: make(map[string]bool)}
	if url == "" {
		p.explain = p.explainSQLite
		return p
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	p.conn, p.explain = conn, p.explainPostgres
	for _, table := range []string{"members", "events"} { // so that PostgreSQL expects small groups
		p.run(t, `ALTER TABLE `+table+` ALTER COLUMN group_id SET (n_distinct = -0.5)`)
	}
	p.run(t, `ANALYZE`)
	p.run(t, `UPDATE pg_class SET reltuples = greatest(reltuples, 10) * 1000 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')`)
	return p
}

func (p *planner) run(t *testing.T, text string) {
	t.Helper()
	if _, err := p.conn.Exec(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// plan returns the plan of a statement, or "" if it was explained before.
func (p *planner) plan(t *testing.T, s statement) string {
	t.Helper()
	if p.seen[s.text] {
		return ""
	}
	p.seen[s.text] = true
	plan, whole := p.explain(t, s)
	if len(whole) > 0 {
		p.whole = append(p.whole, fmt.Sprintf("%s: %s\n%s", strings.Join(whole, ", "), s.text, plan))
	}
	return plan
}

func (p *planner) explainSQLite(t *testing.T, s statement) (plan string, whole []string) {
	t.Helper()
	var steps []string
	err := p.db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		steps, whole = nil, nil
		rows, err := q.QueryContext(ctx, "EXPLAIN QUERY PLAN "+s.text, s.args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var (
				id, parent, unused int
				detail             string
			)
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				return err
			}
			steps = append(steps, detail)
			if name, scan := strings.CutPrefix(detail, "SCAN "); scan {
				name, _, _ = strings.Cut(name, " ")
				if table := tableOf(s.text, name); slices.Contains(growing, table) && !strings.Contains(detail, "VIRTUAL TABLE INDEX 0:M") {
					whole = append(whole, table)
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	return strings.Join(steps, "; "), whole
}

// tableOf returns the table of an alias in a statement.
func tableOf(text, name string) string {
	if m := regexp.MustCompile(`(?:FROM|JOIN)\s+(\w+)\s+(?:AS\s+)?` + regexp.QuoteMeta(name) + `\b`).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return name
}

// node is a node of a PostgreSQL plan.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Filter   string `json:"Filter"`
	Plans    []node `json:"Plans"`
}

func (n node) walk(visit func(node)) {
	visit(n)
	for _, c := range n.Plans {
		c.walk(visit)
	}
}

// explainPostgres explains a statement for its arguments and for any arguments. pgx
// prepares statements, so PostgreSQL may use either plan.
func (p *planner) explainPostgres(t *testing.T, s statement) (plan string, whole []string) {
	t.Helper()
	p.run(t, `PREPARE explained AS `+s.text)
	defer p.run(t, `DEALLOCATE explained`)
	execute := `EXPLAIN (FORMAT JSON) EXECUTE explained`
	if len(s.args) > 0 {
		list := make([]string, len(s.args))
		for i, a := range s.args {
			list[i] = literal(a)
		}
		execute += `(` + strings.Join(list, ", ") + `)`
	}
	var plans []string
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		p.run(t, `SET plan_cache_mode = `+mode)
		var raw string
		if err := p.conn.QueryRow(t.Context(), execute, pgx.QueryExecModeSimpleProtocol).Scan(&raw); err != nil {
			t.Fatalf("%s: %v", s.text, err)
		}
		var roots []struct {
			Plan node `json:"Plan"`
		}
		if err := json.Unmarshal([]byte(raw), &roots); err != nil {
			t.Fatal(err)
		}
		var steps []string
		roots[0].Plan.walk(func(n node) {
			switch {
			case n.Type == "Seq Scan" && slices.Contains(growing, n.Relation):
				whole = append(whole, n.Relation+" ("+mode+")")
				fallthrough
			case n.Type == "Seq Scan", n.Type == "Tid Scan", n.Index != "":
				steps = append(steps, strings.TrimSpace(n.Type+" "+n.Relation+" "+n.Index))
			}
			if strings.Contains(n.Filter, "= ANY (") { // this reads more rows than needed, and compares each with a list
				whole = append(whole, n.Relation+" "+n.Filter+" ("+mode+")")
			}
			if n.Index != "" && (n.Cond == "" || n.Filter != "" && notNull.MatchString(n.Cond)) {
				whole = append(whole, n.Index+" ("+mode+")")
			}
		})
		plans = append(plans, strings.Join(steps, "; "))
	}
	if plans[0] == plans[1] {
		return plans[0], whole
	}
	return "for these arguments: " + plans[0] + " | for any: " + plans[1], whole
}

// notNull matches the condition of a scan that looks for the smallest value. With a filter,
// such a scan may read all rows.
var notNull = regexp.MustCompile(`^\(\w+ IS NOT NULL\)$`)

func literal(a any) string {
	switch v := a.(type) {
	case nil:
		return "NULL"
	case string:
		return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
	default:
		return fmt.Sprint(v)
	}
}
