package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v3"

	backend "github.com/moim-live/moim/client"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// query is an expression for Prometheus, and the text that shows its labels.
type query struct{ where, expr, text string }

// TestAlertsAndDashboard checks that each metric and label in the rules and in the dashboard
// exists on a node.
func TestAlertsAndDashboard(t *testing.T) {
	t.Parallel()
	application, err := backend.Authorize(hookSecret, func(context.Context, backend.Question) (backend.Verdict, error) {
		return backend.Verdict{Allow: true}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := httptest.NewServer(application)
	t.Cleanup(asked.Close)
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HOOK_PRIVATE=true", "MOIM_AUTHORIZE_URL="+asked.URL, "MOIM_AUTHORIZE_SECRET="+hookSecret, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t),
		"MOIM_LIMIT_ENABLED=true", "MOIM_LIMIT_USER_SOCKETS=1")
	known := seriesOf(useMetrics(t, n))
	queries := append(alertQueries(t), dashboardQueries(t)...)
	if len(queries) < 50 {
		t.Fatalf("found only %d expressions", len(queries))
	}
	for _, q := range queries {
		metrics := regexp.MustCompile(`\b(?:moim|process|go)_[a-z_]+`).FindAllString(q.expr, -1)
		if len(metrics) == 0 && !strings.HasPrefix(q.expr, "up{") {
			t.Errorf("%s has no metric: %s", q.where, q.expr)
		}
		for _, metric := range metrics {
			labels, ok := known[metric]
			if !ok {
				t.Errorf("%s: /metrics has no %s", q.where, metric)
				continue
			}
			for _, label := range labelsOf(q) {
				if !slices.Contains([]string{"job", "instance"}, label) && !labels[label] {
					t.Errorf("%s: %s has no label %s", q.where, metric, label)
				}
			}
		}
	}
	for _, match := range regexp.MustCompile(`dependency="([a-z.]+)"`).FindAllString(queriesText(queries), -1) {
		if !known["moim_dependency_up"][match] {
			t.Errorf("no dependency is %s", match)
		}
	}
}

// useMetrics does everything that a node counts, and returns its /metrics.
func useMetrics(t *testing.T, n *node) string {
	t.Helper()
	alice := api{base: n.URL(), token: mint("alice", time.Hour)}
	var g group
	alice.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "measured"}, &g)
	c := &client{inbox: newInbox("alice"), t: t, user: "alice"}
	opened, err := openPlain(t.Context(), n.URL(), alice.token, c.inbox)
	if err != nil {
		t.Fatal(err)
	}
	c.conn = opened
	c.subscribe(g.ID)
	ctx, cancel := context.WithTimeout(t.Context(), answerWithin)
	defer cancel()
	if second, err := openPlain(ctx, n.URL(), alice.token, newInbox("alice again")); err == nil {
		second.close()
		t.Error("a second socket was not refused")
	}
	var text string
	opened.close()
	need(t, answerWithin, "the node has counted", func() bool {
		text = n.metrics()
		return strings.Contains(text, "\nmoim_socket_ended_total{")
	})
	return text
}

// seriesOf returns the labels of each metric with their values.
func seriesOf(text string) map[string]map[string]bool {
	known := map[string]map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? `).FindAllStringSubmatch(text, -1) {
		if known[line[1]] == nil {
			known[line[1]] = map[string]bool{}
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)="[^"]*"`).FindAllStringSubmatch(line[2], -1) {
			known[line[1]][label[0]], known[line[1]][label[1]] = true, true
		}
	}
	return known
}

// labelsOf returns the labels that an expression and its text name.
func labelsOf(q query) []string {
	var labels []string
	for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(q.expr, -1) {
		labels = append(labels, strings.FieldsFunc(by[1], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	for _, found := range regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`).FindAllStringSubmatch(q.expr, -1) {
		labels = append(labels, found[1])
	}
	for _, found := range regexp.MustCompile(`\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`).FindAllStringSubmatch(q.text, -1) {
		labels = append(labels, found[1])
	}
	return labels
}

func queriesText(queries []query) string {
	var text strings.Builder
	for _, q := range queries {
		text.WriteString(q.expr + "\n")
	}
	return text.String()
}

func alertQueries(t *testing.T) []query {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(deploy, "prometheus", "alerts.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	var queries []query
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			queries = append(queries, query{r.Alert, r.Expr, r.Annotations["summary"] + r.Annotations["description"]})
		}
	}
	return queries
}

func dashboardQueries(t *testing.T) []query {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	text, err := os.ReadFile(filepath.Join(deploy, "grafana", "moim.json"))
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	var queries []query
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, query{p.Title, target.Expr, target.LegendFormat})
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" {
			queries = append(queries, query{v.Name, v.Definition, ""})
		}
	}
	return queries
}
