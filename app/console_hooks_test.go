package app_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
)

// operator is a client that reads pages of a console.
type operator struct {
	t       *testing.T
	url     string
	browser *http.Client
}

func (o *operator) read(res *http.Response, err error) string {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(data)
}

func (o *operator) get(path string) string {
	o.t.Helper()
	res, err := o.browser.Get(o.url + path)
	return o.read(res, err)
}

func (o *operator) post(path string, fields url.Values) string {
	o.t.Helper()
	res, err := o.browser.PostForm(o.url+path, fields)
	return o.read(res, err)
}

// want fails the test unless the page contains the texts.
func (o *operator) want(page string, texts ...string) {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			o.t.Errorf("%q is not in:\n%s", text, page)
		}
	}
}

func (o *operator) signIn(id auth.Identity) {
	o.t.Helper()
	id.Expires = time.Now().Add(time.Hour)
	token, err := auth.Mint([]byte(secret), id)
	if err != nil {
		o.t.Fatal(err)
	}
	o.post("/sign-in", url.Values{"token": {token}})
}

// TestConsoleShowsHooks checks that an operator can see why a hook delivers nothing, and can fix
// and resume it.
func TestConsoleShowsHooks(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(receiver.Close)
	router := gin.New()
	cfg := config.Config{}
	cfg.Hook.Private = true
	moim := start(t, cfg, router)
	moim.MountConsole(router)
	server := serve(t, router)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{t: t, url: server.URL + "/console", browser: &http.Client{Jar: jar}}
	o.signIn(auth.Identity{UserID: "ops", Admin: true})
	o.want(o.get("/hooks"), "There are no hooks")
	o.want(o.get("/hook?name=none"), "there is no hook of this name")

	back := newPerson(t, http.DefaultClient, server.URL, backend, false)
	create := func(path string, body object) {
		t.Helper()
		if got := back.call(t, http.MethodPost, path, body); got.status != http.StatusCreated {
			t.Fatalf("POST %s: %d %s", path, got.status, got.body)
		}
	}
	create("/hooks", object{"name": "billing", "url": receiver.URL, "events": []string{"group.*"}})
	create("/groups", object{"name": "chess", "ownerId": "ana"})
	o.want(o.get("/hooks"), `<a href="./hook?name=billing">billing</a>`, receiver.URL, "group.*", "enabled")
	var page string
	await(t, func() bool {
		page = o.get("/hook?name=billing")
		return strings.Contains(page, "the receiver answered 418")
	})
	o.want(page, "retrying", "Go on")
	o.want(o.post("/hook?name=billing", url.Values{"form": {"test"}}), "The test failed", "418")
	o.want(o.post("/hook?name=billing", url.Values{"form": {"disable"}}), "The change is saved", "disabled")
	o.want(o.post("/hook?name=billing", url.Values{"form": {"enable"}}), "The change is saved", `value="disable"`)
	o.want(o.post("/hook?name=billing", url.Values{"form": {"resume"}}), "What is left is being sent")

	o.signIn(auth.Identity{UserID: "auditor", Calls: auth.ReadConsole})
	if page := o.get("/hook?name=billing"); strings.Contains(page, `value="disable"`) || !strings.Contains(page, receiver.URL) {
		t.Errorf("a user with read access sees\n%s", page)
	}
	o.want(o.post("/hook?name=billing", url.Values{"form": {"disable"}}), "may only look")
}
