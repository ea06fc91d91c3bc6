package authorize

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

// backend is an application's back end. It counts the questions that it gets.
type backend struct {
	*httptest.Server
	asked atomic.Int64
}

func serve(t *testing.T, answer http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		body, err := io.ReadAll(r.Body) // the server notices that the client disconnected only after the body was read
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// says returns a handler that answers 200 with the body.
func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func newGatekeeper(t *testing.T, url string, change func(*Config)) *Gatekeeper {
	t.Helper()
	cfg := Config{URL: url, Events: known, Secret: webhook.NewSecret(), Private: true, Version: "test"}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	g, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// outcome asks q. It returns "yes", "yes" and the attributes, or the code of the error.
func outcome(t *testing.T, g *Gatekeeper, q group.Question) string {
	t.Helper()
	v, err := g.Ask(t.Context(), q)
	if err != nil {
		return fault.From(err).Code
	}
	given, changed, err := v.Attributes.Apply(json.RawMessage(`{"mine":1,"other":2}`))
	if err != nil {
		t.Error(err)
	}
	if changed {
		return "yes " + string(given)
	}
	return "yes"
}

// counted returns the value of the counter of questions for an event and a result.
func counted(t *testing.T, g *Gatekeeper, event, result string) (n float64) {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := g.Register(r); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["event"] == event && labels["result"] == result {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestQuestionsAreSigned(t *testing.T) {
	t.Parallel()
	secret, before := webhook.NewSecret(), webhook.NewSecret()
	bodies := make(chan string, 10)
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
		var want []string
		for _, s := range []string{secret, before} {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
			mac := hmac.New(sha256.New, key)
			fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
			want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
		if got := r.Header.Get("webhook-signature"); got != strings.Join(want, " ") || id == "" || r.Header.Get("User-Agent") != "Moim/test" {
			t.Errorf("a question has the wrong headers %v", r.Header)
		}
		bodies <- r.Method + " " + string(body)
		_, _ = io.WriteString(w, `{"allow":true}`)
	})
	g := newGatekeeper(t, b.URL, func(c *Config) { c.Secret, c.PreviousSecret = secret, before })
	for want, q := range map[string]group.Question{
		`POST {"event":"message","userId":"ana","groupId":"g1","data":{"type":"text","data":"<b>"}}`: {Event: group.AskMessage, UserID: "ana", GroupID: "g1", Data: dto.MessageRequest{Type: "text", Data: json.RawMessage(`"<b>"`)}},
		`POST {"event":"join","userId":"ana","groupId":"g1","data":{"by":"invite"}}`:                 {Event: group.AskJoin, UserID: "ana", GroupID: "g1", Data: group.Entering{By: "invite"}},
		`POST {"event":"connect","userId":"ana"}`:                                                    {Event: Connect, UserID: "ana"},
	} {
		if got := outcome(t, g, q); got != "yes" {
			t.Error(got)
		}
		if got := <-bodies; got != want {
			t.Errorf("the back end got %s, want %s", got, want)
		}
	}
}

// TestAnswers checks the outcome of valid answers, invalid answers and errors. With the
// option open, users are admitted when the back end fails.
func TestAnswers(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"allow":true}`)
		}
	}
	huge := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"allow":true,"message":"`)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}
	const bad = "unavailable"
	for _, tc := range []struct {
		name   string
		event  string
		answer http.HandlerFunc
		want   string
	}{
		{"yes", group.AskJoin, says(`{"allow":true}`), "yes"},
		{"no", group.AskJoin, says(`{"allow":false}`), "refused"},
		{"more fields", group.AskJoin, says(` {"allow":true,"later":[{}],"code":null,"message":null,"attributes":null} `), "yes"},
		{"another 2xx", group.AskJoin, status(http.StatusCreated), "yes"},
		{"attributes of a group", group.AskCreate, says(`{"allow":true,"attributes":{"mine":null, "plan":"pro"}}`), `yes {"other":2,"plan":"pro"}`},
		{"attributes of a member", group.AskJoin, says(`{"allow":true,"attributes":{"team":"red"}}`), `yes {"mine":1,"other":2,"team":"red"}`},
		{"attributes that nobody wants", group.AskMessage, says(`{"allow":true,"attributes":[1]}`), "yes"},
		{"attributes of a refusal", group.AskJoin, says(`{"allow":false,"attributes":[1]}`), "refused"},
		{"attributes that are no object", group.AskJoin, says(`{"allow":true,"attributes":[1]}`), bad},
		{"large attributes", group.AskJoin, says(`{"allow":true,"attributes":{"a":"` + strings.Repeat("x", 4<<10) + `"}}`), bad},
		{"large attributes of a group", group.AskCreate, says(`{"allow":true,"attributes":{"a":"` + strings.Repeat("x", 16<<10) + `"}}`), bad},
		{"deep attributes", group.AskCreate, says(`{"allow":true,"attributes":{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}}`), bad},
		{"nothing", group.AskJoin, says(``), bad},
		{"no content", group.AskJoin, status(http.StatusNoContent), bad},
		{"no JSON", group.AskJoin, says(`yes`), bad},
		{"a list", group.AskJoin, says(`[true]`), bad},
		{"no allow", group.AskJoin, says(`{}`), bad},
		{"another type", group.AskJoin, says(`{"allow":"true"}`), bad},
		{"two values", group.AskJoin, says(`{"allow":true}{}`), bad},
		{"two decisions", group.AskJoin, says(`{"allow":false,"allow":true}`), bad},
		{"two equal names, one of them escaped", group.AskJoin, says(`{"allow":false,"\u0061llow":true}`), bad},
		{"another name", group.AskJoin, says(`{"Allow":true}`), bad},
		{"a similar name", group.AskJoin, says(`{"allow":false,"ALLOW":true}`), "refused"},
		{"two similar fields", group.AskJoin, says(`{"allow":true,"attributes":{"team":"red"},"Attributes":{"team":"blue"}}`), `yes {"mine":1,"other":2,"team":"red"}`},
		{"no UTF-8", group.AskJoin, says("{\"allow\":true,\"message\":\"\xff\"}"), bad},
		{"a negative ttl", group.AskJoin, says(`{"allow":true,"ttl":-1}`), bad},
		{"long", group.AskJoin, says(`{"allow":true}` + strings.Repeat(" ", maxAnswer)), bad},
		{"without end", group.AskJoin, huge, bad},
		{"a redirect", group.AskJoin, http.RedirectHandler("/there", http.StatusTemporaryRedirect).ServeHTTP, bad},
		{"unauthorized", group.AskJoin, status(http.StatusUnauthorized), bad},
		{"forbidden", group.AskJoin, status(http.StatusForbidden), bad},
		{"an error", group.AskJoin, status(http.StatusInternalServerError), bad},
		{"no connection", group.AskJoin, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, bad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, tc.answer)
			for open, want := range map[bool]string{false: tc.want, true: strings.Replace(tc.want, bad, "yes", 1)} {
				g := newGatekeeper(t, b.URL, func(c *Config) { c.Open = open })
				if got := outcome(t, g, group.Question{Event: tc.event, UserID: "ana", GroupID: "g"}); got != want {
					t.Errorf("open %v: %s, want %s", open, got, want)
				}
				result := map[string]string{"yes": allowed, "refused": refused, bad: failed}[strings.SplitN(tc.want, " ", 2)[0]]
				if n := counted(t, g, tc.event, result); n != 1 {
					t.Errorf("open %v: %v questions are counted as %s", open, n, result)
				}
			}
			if n := b.asked.Load(); n != 2 {
				t.Errorf("the back end was asked %d times", n)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 600)
	for body, want := range map[string][2]string{
		`{"allow":false}`: {"", fault.ErrRefused.Message},
		`{"allow":false,"code":"over_quota","message":"You have 3 groups already"}`:            {"over_quota", "You have 3 groups already"},
		`{"allow":false,"code":"Over quota","message":" \n "}`:                                 {"", fault.ErrRefused.Message},
		`{"allow":false,"code":"` + strings.Repeat("a", 65) + `","message":"a\u0000b\u202ec"}`: {"", "a b c"},
		`{"allow":false,"message":"` + long + `"}`:                                             {"", strings.Repeat("ä", 499) + "…"},
	} {
		g := newGatekeeper(t, serve(t, says(body)).URL, nil)
		_, err := g.Ask(t.Context(), group.Question{Event: group.AskJoin, UserID: "ana"})
		f := fault.From(err)
		if f.Kind != fault.Forbidden || f.Code != "refused" || f.Reason != want[0] || f.Message != want[1] {
			t.Errorf("%.80s: %+v", body, f)
		}
	}
}

// TestLateAnswers checks the timeout: one back end never sends the header of its answer,
// and one never ends the body.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	for name, begins := range map[string]bool{"no head": false, "no end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if begins {
					_, _ = io.WriteString(w, `{"allow":true`)
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			})
			g := newGatekeeper(t, b.URL, nil)
			began := time.Now()
			_, err := g.Ask(t.Context(), group.Question{Event: group.AskJoin, UserID: "ana"})
			if !errors.Is(err, fault.ErrUnavailable) || fault.From(err).Retry == 0 || !strings.Contains(err.Error(), "no answer within 2s") {
				t.Error(err)
			}
			if took := time.Since(began); took < Timeout-100*time.Millisecond {
				t.Errorf("a question took %s", took)
			}
		})
	}
}

func TestWhoIsAskedAbout(t *testing.T) {
	t.Parallel()
	b := serve(t, says(`{"allow":false}`))
	g := newGatekeeper(t, b.URL, func(c *Config) { c.Events = nil })
	for event, want := range map[string]bool{Connect: false, group.AskCreate: true, group.AskJoin: true, group.AskMessage: false, group.AskSignal: false} {
		if g.Asks(event) != want {
			t.Errorf("by default, %s is asked about: %v", event, !want)
		}
	}
	if err := g.MayConnect(t.Context(), auth.Identity{UserID: "ana"}); err != nil {
		t.Error(err)
	}
	g = newGatekeeper(t, b.URL, func(c *Config) { c.Events = []string{Connect} })
	if err := g.MayConnect(t.Context(), auth.Identity{UserID: "shop", Admin: true}); err != nil {
		t.Error(err)
	}
	if b.asked.Load() != 0 {
		t.Error("the back end was asked")
	}
	if err := g.MayConnect(t.Context(), auth.Identity{UserID: "ana"}); !errors.Is(err, fault.ErrRefused) {
		t.Error(err)
	}
}

// TestBreaker checks that the gatekeeper stops asking a failing back end, and asks again
// after a pause.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !works.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		says(`{"allow":true}`)(w, r)
	})
	g := newGatekeeper(t, b.URL, nil)
	q := group.Question{Event: group.AskJoin, UserID: "ana"}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for range breakAfter {
		// The caller's request was canceled. The failure counts nevertheless.
		if _, err := g.Ask(canceled, q); !errors.Is(err, fault.ErrUnavailable) {
			t.Error(err)
		}
	}
	_, err := g.Ask(t.Context(), q)
	if f := fault.From(err); !errors.Is(err, errSuspended) || f.Code != "unavailable" || f.Retry <= 0 || f.Retry > breakFor {
		t.Errorf("%v, again after %s", err, f.Retry)
	}
	if n := b.asked.Load(); n != breakAfter {
		t.Errorf("the back end was asked %d times", n)
	}
	works.Store(true)
	waittest.Until(t, "the back end is asked again", func() bool { return outcome(t, g, q) == "yes" })
	if n := b.asked.Load(); n != breakAfter+1 {
		t.Errorf("the back end was asked %d times", n)
	}
}

// TestBadAnswersDoNotBreak checks that invalid answers do not open the circuit breaker: the
// back end is not down.
func TestBadAnswersDoNotBreak(t *testing.T) {
	t.Parallel()
	b := serve(t, says(`{}`))
	g := newGatekeeper(t, b.URL, nil)
	for range 3 * breakAfter {
		if got := outcome(t, g, group.Question{Event: group.AskJoin, UserID: "ana"}); got != "unavailable" {
			t.Error(got)
		}
	}
	if n := b.asked.Load(); n != 3*breakAfter {
		t.Errorf("the back end was asked %d times", n)
	}
}

func TestQuestionsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	b := serve(t, says(`{"allow":true}`))
	g := newGatekeeper(t, b.URL, nil)
	asked, ok := g.asker.(*backEnd)
	if !ok {
		t.Fatalf("New returned a %T", g.asker)
	}
	for range slots {
		asked.slots <- struct{}{}
	}
	if _, err := g.Ask(t.Context(), group.Question{Event: group.AskJoin, UserID: "ana"}); !errors.Is(err, errBusy) || !errors.Is(err, fault.ErrUnavailable) {
		t.Error(err)
	}
	if b.asked.Load() != 0 {
		t.Error("the back end was asked")
	}
	<-asked.slots
	if got := outcome(t, g, group.Question{Event: group.AskJoin, UserID: "ana"}); got != "yes" {
		t.Error(got)
	}
}

func TestPrivateAddressesNeedConsent(t *testing.T) {
	t.Parallel()
	b := httptest.NewTLSServer(says(`{"allow":true}`))
	t.Cleanup(b.Close)
	g := newGatekeeper(t, b.URL, func(c *Config) { c.Private = false })
	if _, err := g.Ask(t.Context(), group.Question{Event: group.AskJoin, UserID: "ana"}); !errors.Is(err, webhook.ErrAddress) {
		t.Error(err)
	}
}
