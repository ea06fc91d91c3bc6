package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// inBrowserWithin is the time that a browser may take to start and to run a page.
const inBrowserWithin = time.Minute

// browserPage follows a group, posts a message to it, and reports the result to its own server.
const browserPage = `<!doctype html><title>Moim</title>
<script src="/socket.io.min.js"></script>
<script>
const { url, token, groupId, withCredentials } = JSON.parse(new URLSearchParams(location.search).get("with"));
const seen = { transports: [] };
let reported = false;
const report = (error) => {
	if (reported) return;
	reported = true;
	fetch("/report", { method: "POST", body: JSON.stringify({ ...seen, error }) });
};
setTimeout(() => report("not done in time"), 20000);
const reportWhenDone = () => seen.event && seen.transports.includes("websocket") && report();
const socket = io(url, { auth: { token }, withCredentials });
socket.io.on("open", () => {
	const engine = socket.io.engine;
	seen.transports.push(engine.transport.name);
	engine.on("upgrade", (transport) => { seen.transports.push(transport.name); reportWhenDone(); });
});
socket.on("connect_error", (error) => report("connect_error: " + error.message));
socket.on("group:event", (event) => { seen.event = event; reportWhenDone(); });
socket.on("connect", async () => {
	for (const [name, rest] of [["group:subscribe", {}], ["group:message", { data: { from: "a browser" } }]]) {
		const { error } = await socket.timeout(15000).emitWithAck(name, { groupId, ...rest });
		if (error) report(name + ": " + error.code);
	}
});
</script>`

// browserReport is the result that the page reports.
type browserReport struct {
	Transports []string `json:"transports"` // in the order of their use
	Event      event    `json:"event"`
	Error      string   `json:"error"`
}

// TestBrowserFromAnotherOrigin opens a page of an allowed origin. It must connect with the
// default options of socket.io-client, with and without credentials, and upgrade. A page of
// another origin must be refused.
func TestBrowserFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	browser := findBrowser(t)
	allowed, refused := servePage(t), servePage(t)
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HTTP_ORIGINS="+allowed.URL)
	d := &deployment{nodes: []*node{n}, token: func(user string) string { return mint(user, time.Hour) }}
	groupID := newGroup(t, d)

	for name, withCredentials := range map[string]bool{"without credentials": false, "with credentials": true} {
		t.Run(name, func(t *testing.T) {
			got := allowed.open(t, browser, object{"url": n.URL(), "token": d.token("ana"), "groupId": groupID, "withCredentials": withCredentials})
			if got.Error != "" || len(got.Transports) != 2 || got.Transports[0] != "polling" || got.Transports[1] != "websocket" {
				t.Errorf("the page used %q, error %q; want polling, then websocket", got.Transports, got.Error)
			}
			if got.Event.Type != "message.posted" || got.Event.GroupID != groupID {
				t.Errorf("the page received %+v, want its own message", got.Event)
			}
		})
	}
	t.Run("another origin", func(t *testing.T) {
		got := refused.open(t, browser, object{"url": n.URL(), "token": d.token("ana"), "groupId": groupID})
		if got.Error != "connect_error: xhr poll error" || len(got.Transports) != 0 {
			t.Errorf("the page used %q, error %q; want a connect_error", got.Transports, got.Error)
		}
	})
}

var errNoBrowser = errors.New("no Chromium is not installed")

// findBrowser returns the path of a browser that can run headless.
func findBrowser(t *testing.T) string {
	t.Helper()
	// The first path is Debian's binary. The script in /usr/bin would leave it running.
	for _, name := range []string{"/usr/lib/chromium/chromium-headless-shell", "chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	skipOrFail(t, errNoBrowser)
	return ""
}

// pageServer serves the page from an origin of its own.
type pageServer struct {
	*httptest.Server
	reports chan browserReport
}

func servePage(t *testing.T) *pageServer {
	t.Helper()
	if err := clientOnce(); errors.Is(err, errNoNode) {
		skipOrFail(t, err)
	} else if err != nil {
		t.Fatal(err)
	}
	s := &pageServer{reports: make(chan browserReport, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(browserPage))
	})
	mux.HandleFunc("GET /socket.io.min.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("node_modules", "socket.io-client", "dist", "socket.io.min.js"))
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var report browserReport
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			report.Error = err.Error()
		}
		s.reports <- report
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// open lets a browser open the page and returns the page's report.
func (s *pageServer) open(t *testing.T, browser string, with object) browserReport {
	t.Helper()
	encoded, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp(workDir, "browser-") //nolint:usetesting // the browser's children may still write when t.TempDir is removed
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(profile, "output")) // a file, because no one waits for the child processes
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+profile, "--remote-debugging-port=0", s.URL+"/?with="+url.QueryEscape(string(encoded)))
	cmd.Stdout, cmd.Stderr = output, output
	childtest.DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	select {
	case report := <-s.reports:
		return report
	case <-time.After(inBrowserWithin):
		printed, _ := os.ReadFile(output.Name())
		t.Fatalf("the page did not report within %s:\n%s", inBrowserWithin, printed)
		return browserReport{}
	}
}
