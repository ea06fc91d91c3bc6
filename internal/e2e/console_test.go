package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// TestConsole opens each view of the console in a browser. It must work without a mouse, on a
// phone and without scripts.
func TestConsole(t *testing.T) {
	t.Parallel()
	browser := findBrowser(t)
	if err := clientOnce(); err != nil {
		skipOrFail(t, err)
	}
	dir := t.TempDir()
	n := startNode(t, "MOIM_DATA_DIR="+dir)
	key, err := os.ReadFile(dir + "/dev-secret")
	if err != nil {
		t.Fatal(err)
	}
	backEnd := api{base: n.URL(), token: mintWith(string(key), "billing", time.Hour, `"scope":"admin"`)}
	var made struct{ ID string }
	backEnd.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "for the audit log", "ownerId": "mina"}, &made)
	backEnd.must(t, http.StatusOK, http.MethodPost, "/groups/"+made.ID+"/members", object{"userIds": []string{"a/b?"}}, nil)
	backEnd.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "keyed", "url": "https://hooks.invalid/", "events": []string{"group.ended"}}, nil)

	ctx, cancel := context.WithTimeout(t.Context(), 4*inBrowserWithin)
	defer cancel()
	page := exec.CommandContext(ctx, "node", "console.mjs", browser, n.URL()+"/console/", made.ID, os.Getenv(screenshotsVar))
	childtest.DieWithParent(page)
	if out, err := page.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
