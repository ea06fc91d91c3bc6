package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
)

// growVar is the variable that sets the numbers of groups of TestConsoleOfManyGroups. The test is
// skipped without it, because filling the database takes minutes.
const growVar = "MOIM_GROW"

// TestConsoleOfManyGroups imports many groups, opens each view of the console a hundred times,
// and prints how long the pages take.
func TestConsoleOfManyGroups(t *testing.T) {
	sizes := strings.Fields(os.Getenv(growVar))
	if len(sizes) == 0 {
		t.Skipf("%s is not set: it says how many groups to import", growVar)
	}
	for _, text := range sizes {
		groups, err := strconv.Atoi(text)
		if err != nil || groups < 100 {
			t.Fatalf("%s=%s: want numbers of groups", growVar, text)
		}
		file := filepath.Join(t.TempDir(), "groups.jsonl")
		writeManyGroups(t, file, groups)
		t.Run("Postgres-"+text, func(t *testing.T) {
			measureConsole(t, groups, file, "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
		})
		t.Run("SQLite-"+text, func(t *testing.T) { measureConsole(t, groups, file) })
	}
}

// writeManyGroups writes groups of 1,000 owners. The first group has a tenth as many members as
// there are groups, and as many messages.
func writeManyGroups(t *testing.T, file string, groups int) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	for i := range groups {
		fmt.Fprintf(out, `{"group":{"id":"g-%d","name":"Study room %[1]d","ownerId":"owner-%d","attributes":{"level":%d}}}`+"\n", i, i%1000, i%10)
	}
	for i := range groups / 10 {
		fmt.Fprintf(out, `{"member":{"groupId":"g-0","userId":"fan-%d"}}`+"\n", i)
		fmt.Fprintf(out, `{"message":{"groupId":"g-0","actor":"owner-0","data":{"text":"message %d"},"at":"2024-01-02T03:04:05Z"}}`+"\n", i)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// measureConsole imports a file into the database that env names, and measures the views.
func measureConsole(t *testing.T, groups int, file string, env ...string) {
	t.Helper()
	const rounds = 100
	n := newNode(t, append(env, "MOIM_AUTH_SECRET="+secret)...)
	began := time.Now()
	if out, err := n.command("import", file).CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	t.Logf("%d groups, imported in %s", groups, time.Since(began).Round(time.Second))
	n.Restart()

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: time.Minute}
	signedIn, err := browser.PostForm(n.URL()+"/console/sign-in", url.Values{"token": {mint("ops", time.Hour, `"scope":"admin"`)}})
	if err != nil {
		t.Fatal(err)
	}
	_ = signedIn.Body.Close()
	found := openView(t, browser, n.URL()+"/console/groups?q="+url.QueryEscape("Study room 0"))
	_, after, _ := strings.Cut(found, `href="./groups/`)
	large, _, ok := strings.Cut(after, `"`)
	if !ok {
		t.Fatalf("no group is in the page:\n%s", found)
	}
	inLarge := "groups/" + large
	last := strconv.Itoa(groups - 1)
	for _, page := range []struct{ name, path, contains string }{
		{"overview", "", "Dependencies"},
		{"groups, newest first", "groups", "Study room"},
		{"groups, largest first", "groups?sort=members", "Study room 0"},
		{"groups, latest event first", "groups?sort=activity", "Study room"},
		{"groups, a word of all names", "groups?q=room", "Study room"},
		{"groups, a word of one name", "groups?q=" + last, "Study room " + last},
		{"groups, an absent word", "groups?q=absent", ""},
		{"groups of an owner", "groups?owner=owner-7", "Study room"},
		{"groups with an attribute", "groups?attribute=level%3D3", "Study room"},
		{"group", inLarge, "Study room 0"},
		{"members", inLarge + "/members", "fan-"},
		{"log", inLarge + "/log", "message.posted"},
		{"log of an actor who wrote nothing", inLarge + "/log?actor=nobody", ""},
		{"presence", inLarge + "/presence", ""},
		{"bans", inLarge + "/bans", ""},
		{"user in many groups", "user?id=owner-7", "Study room"},
		{"schedule", "schedule", ""},
		{"audit", "audit", ""},
	} {
		took := make([]time.Duration, rounds)
		for i := range took {
			began := time.Now()
			if text := openView(t, browser, n.URL()+"/console/"+page.path); !strings.Contains(text, page.contains) {
				t.Fatalf("%s: %q is not in the page:\n%s", page.name, page.contains, text)
			}
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		t.Logf("%-34s p50 %6.1f ms  p95 %6.1f ms", page.name, inMillis(took[rounds/2]), inMillis(took[rounds*95/100]))
	}
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// openView returns the text of a page.
func openView(t *testing.T, browser *http.Client, address string) string {
	t.Helper()
	res, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", address, res.Status, err, text)
	}
	return string(text)
}
