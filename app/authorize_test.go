package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/authorize"
	"github.com/moim-live/moim/modules/hook"
)

// asking returns a configuration with a back end that authorizes these events.
func asking(url string, events ...string) config.Config {
	return config.Config{
		Authorize: authorize.Config{URL: url, Events: events, Secret: webhook.NewSecret()},
		Hook:      hook.Config{Private: true},
	}
}

// TestAuthorize makes each call that a back end authorizes, over HTTP and sockets. It makes each
// as a user whom the back end allows, as one whom it refuses, and as one for whom it fails.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	var questions sync.Map // "event user" -> true
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Event, UserID, GroupID string
			Data                   struct{ Version int64 }
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		asked := q.Event
		if q.Data.Version > 0 {
			asked = "edit"
		}
		questions.Store(asked+" "+q.UserID, true)
		switch {
		case q.Event == "connect" && q.UserID != "stranger", strings.HasPrefix(q.UserID, "good"), q.UserID == "owner":
			_, _ = io.WriteString(w, `{"allow":true,"attributes":{"checked":true}}`)
		case strings.HasPrefix(q.UserID, "down"):
			_, _ = io.WriteString(w, `{"allow":"perhaps"}`)
		default:
			_, _ = io.WriteString(w, `{"allow":false,"code":"over_quota","message":"That is enough"}`)
		}
	}))
	t.Cleanup(application.Close)
	router := gin.New()
	start(t, asking(application.URL, "connect", "create", "join", "message", "signal"), router)
	server := serve(t, router)

	shop := newPerson(t, http.DefaultClient, server.URL, backend, true)
	newGroup := func() string {
		var g struct{ ID string }
		a := shop.call(t, http.MethodPost, "/groups", object{"name": "g", "visibility": "public", "joinPolicy": "open", "ownerId": "owner"})
		if err := json.Unmarshal(a.body, &g); err != nil || a.status != http.StatusCreated {
			t.Fatal(a, err)
		}
		return g.ID
	}
	for name, want := range map[string]string{"good": "yes", "bad": "refused", "down": "unavailable"} {
		for _, over := range []string{"http", "sio", "plain"} {
			user := name + "-" + over
			p := newPerson(t, http.DefaultClient, server.URL, user, true)
			do := func(method, path, event string, data object, group string) string {
				if over == "http" {
					delete(data, "version") // the version is in the path
					return p.call(t, method, path, data).result
				}
				if data == nil {
					data = object{}
				}
				if group != "" {
					data["groupId"] = group
				}
				if over == "sio" {
					return p.sio.ask(t, event, data)
				}
				return p.plain.ask(t, event, data)
			}
			open, known := newGroup(), newGroup()
			if a := shop.call(t, http.MethodPost, "/groups/"+known+"/members", object{"userIds": []string{user}}); a.status != http.StatusOK {
				t.Fatal(a)
			}
			var text struct{ Version int64 }
			if err := json.Unmarshal(shop.call(t, http.MethodPost, "/groups/"+known+"/messages", object{"data": 1}).body, &text); err != nil {
				t.Fatal(err)
			}
			if a := shop.call(t, http.MethodPatch, "/groups/"+known+"/members/"+user, object{"role": "admin"}); a.status != http.StatusOK {
				t.Fatal(a)
			}
			for call, got := range map[string]string{
				"create":  do(http.MethodPost, "/groups", "group:create", object{"name": "mine"}, ""),
				"join":    do(http.MethodPost, "/groups/"+open+"/join", "group:join", nil, open),
				"message": do(http.MethodPost, "/groups/"+known+"/messages", "group:message", object{"data": 1}, known),
				"edit":    do(http.MethodPatch, fmt.Sprintf("/groups/%s/messages/%d", known, text.Version), "group:message:edit", object{"data": 2, "version": text.Version}, known),
				"signal":  do(http.MethodPost, "/groups/"+known+"/signals", "group:signal", object{"type": "wave"}, known),
			} {
				if _, asked := questions.Load(call + " " + user); got != want || !asked {
					t.Errorf("%s, %s: %s, asked %v", user, call, got, asked)
				}
			}
			a := shop.call(t, http.MethodGet, "/groups/"+open+"/members/"+user, nil)
			if joined := strings.Contains(string(a.body), `"attributes":{"checked":true}`); joined != (want == "yes") {
				t.Errorf("%s: the member is %s", user, a.body)
			}
		}
	}
	questions.Range(func(key, _ any) bool {
		if strings.HasSuffix(fmt.Sprint(key), " "+backend) {
			t.Errorf("asked about a back end: %v", key)
		}
		return true
	})

	a := newPerson(t, http.DefaultClient, server.URL, "bad", false).call(t, http.MethodPost, "/groups", object{"name": "g"})
	for _, want := range []string{`"status":403`, `"code":"refused"`, `"reason":"over_quota"`, `"detail":"That is enough"`} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("a refusal is %s, without %s", a.body, want)
		}
	}
	stranger := newPerson(t, http.DefaultClient, server.URL, "stranger", false).token
	_, resp, err := (&websocket.Dialer{Subprotocols: []string{"moim", "bearer." + stranger}}).DialContext(t.Context(), strings.Replace(server.URL, "http", "ws", 1)+"/ws", nil)
	if err == nil {
		t.Fatal("the stranger is connected")
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"code":"refused","reason":"over_quota"`) {
		t.Errorf("the stranger gets %d %s", resp.StatusCode, body)
	}
	w := dialWire(t, server.URL+"/socket.io/?EIO=4&transport=websocket", nil)
	w.send(t, `40{"token":"`+stranger+`"}`)
	for {
		_, message, err := w.conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(message), "4") {
			if want := `44{"message":"That is enough","data":{"code":"refused","reason":"over_quota"}}`; string(message) != want {
				t.Errorf("the stranger gets %s, want %s", message, want)
			}
			break
		}
	}
}

// TestSlowBackEndDelaysNobodyElse has many users wait to join a group while the back end does not
// answer. Calls in this group that need no authorization must not wait.
func TestSlowBackEndDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	for range 5 { // on a busy machine, the calls may take longer than the guests wait
		if callWhileOthersWait(t) {
			return
		}
	}
	t.Error("calls that are not asked about wait for the back end")
}

// callWhileOthersWait reports whether all calls ended before the first guest who waits for the
// back end.
func callWhileOthersWait(t *testing.T) bool {
	t.Helper()
	var asked atomic.Int64
	application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked.Add(1)
		<-r.Context().Done()
	}))
	t.Cleanup(application.Close)
	router := gin.New()
	start(t, asking(application.URL), router)
	server := serve(t, router)
	shop := newPerson(t, http.DefaultClient, server.URL, backend, false)
	owner := newPerson(t, http.DefaultClient, server.URL, "owner", true)
	var g struct{ ID string }
	a := shop.call(t, http.MethodPost, "/groups", object{"name": "g", "visibility": "public", "joinPolicy": "open", "ownerId": "owner"})
	if err := json.Unmarshal(a.body, &g); err != nil {
		t.Fatal(err)
	}
	const guests = 20
	var (
		waiting sync.WaitGroup
		over    atomic.Int64
	)
	for i := range guests {
		guest := newPerson(t, http.DefaultClient, server.URL, fmt.Sprint("guest", i), false)
		waiting.Go(func() {
			defer over.Add(1)
			if a := guest.call(t, http.MethodPost, "/groups/"+g.ID+"/join", nil); a.result != "unavailable" {
				t.Errorf("a guest gets %s", a.result)
			}
		})
	}
	await(t, func() bool { return asked.Load() >= guests || over.Load() > 0 })
	for name, got := range map[string]string{
		"post":           owner.call(t, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": 1}).result,
		"change":         owner.call(t, http.MethodPatch, "/groups/"+g.ID, object{"name": "h"}).result,
		"add":            shop.call(t, http.MethodPost, "/groups/"+g.ID+"/members", object{"userIds": []string{"added"}}).result,
		"post on /ws":    owner.plain.ask(t, "group:message", object{"groupId": g.ID, "data": 2}),
		"signal on /sio": owner.sio.ask(t, "group:signal", object{"groupId": g.ID, "type": "wave"}),
	} {
		if got != "yes" {
			t.Errorf("%s: %s", name, got)
		}
	}
	ended := over.Load()
	waiting.Wait()
	return ended == 0
}

// TestReadyWithoutTheBackEnd starts a node while no server listens at authorize.url.
func TestReadyWithoutTheBackEnd(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	router := gin.New()
	start(t, asking(gone.URL), router, app.WithVersion("1"))
	server := serve(t, router)
	p := newPerson(t, http.DefaultClient, server.URL, "ana", false)
	for range 10 {
		a := p.call(t, http.MethodPost, "/groups", object{"name": "g"})
		if a.status != http.StatusServiceUnavailable || a.result != "unavailable" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if resp := get(t, server.URL+"/readyz", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz answers %d", resp.StatusCode)
	}
	metrics := get(t, server.URL+"/metrics", "")
	text, err := io.ReadAll(metrics.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`moim_authorize_questions_total{event="create",result="failed"} `, `moim_authorize_questions_total{event="create",result="suspended"} `, `moim_authorize_seconds_count{event="create"} `} {
		if !strings.Contains(string(text), want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
}
