package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// span is a span that a node exported.
type span struct{ name, node, trace, id, parent string }

// traces receives spans as OTLP over HTTP.
type traces struct {
	mu    sync.Mutex
	spans []span
}

func (c *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request collector.ExportTraceServiceRequest
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		node := ""
		for _, a := range of.GetResource().GetAttributes() {
			if a.GetKey() == "service.instance.id" {
				node = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span{
					s.GetName(), node, hex.EncodeToString(s.GetTraceId()), hex.EncodeToString(s.GetSpanId()), hex.EncodeToString(s.GetParentSpanId()),
				})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// find returns a span of a trace, or nil.
func (c *traces) find(trace, node, name string) *span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.trace == trace && s.node == node && s.name == name {
			return &s
		}
	}
	return nil
}

// TestTraceAcrossNodes follows a message from the HTTP request on a node to the push on
// another one.
func TestTraceAcrossNodes(t *testing.T) {
	t.Parallel()
	received := &traces{}
	server := httptest.NewServer(received)
	t.Cleanup(server.Close)
	env := []string{
		"MOIM_AUTH_SECRET=" + secret, "MOIM_REDIS_URL=" + redistest.Start(t).URL(), "MOIM_DATABASE_URL=" + pgtest.Start(t).NewDatabase(t),
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_BSP_SCHEDULE_DELAY=100",
	}
	one := startNode(t, append(env, "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=one")...)
	two := startNode(t, append(env, "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=two")...)
	alice := api{base: one.URL(), token: mint("alice", time.Hour)}
	var g group
	alice.must(t, 201, "POST", "/groups", object{"name": "g"}, &g)
	reader := connect(t, endpoint{"plain", openPlain}, two, "alice", alice.token)
	reader.subscribe(g.ID)
	others := make([]*client, 10) // a delivery to one of many clients makes no span
	for i := range others {
		others[i] = connect(t, endpoint{"plain", openPlain}, two, "alice", alice.token)
		others[i].subscribe(g.ID)
	}

	const trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, one.URL()+"/v1/groups/"+g.ID+"/messages", strings.NewReader(`{"data":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Authorization": {"Bearer " + alice.token}, "Content-Type": {"application/json"}, "Traceparent": {"00-" + trace + "-" + caller + "-01"},
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("X-Request-Id") != trace {
		t.Fatalf("%d, request %q", resp.StatusCode, resp.Header.Get("X-Request-Id"))
	}
	reader.needVersion(g.ID, 2, answerWithin)
	for _, other := range others {
		other.needVersion(g.ID, 2, answerWithin)
	}

	var request, sql, publish, deliver *span
	need(t, answerWithin, "the spans arrive", func() bool {
		request = received.find(trace, "one", "POST /v1/groups/:groupId/messages")
		sql = received.find(trace, "one", "sql write")
		publish = received.find(trace, "one", "publish message.posted")
		deliver = received.find(trace, "two", "deliver message.posted")
		return request != nil && sql != nil && publish != nil && deliver != nil
	})
	if request.parent != caller || sql.parent != request.id || publish.parent != request.id || deliver.parent != publish.id {
		t.Errorf("request %+v, sql %+v, publish %+v, deliver %+v", request, sql, publish, deliver)
	}

	reader.must("presence:set", object{"groupId": g.ID, "state": object{}}, nil)
	reader.must("group:message", object{"groupId": g.ID, "data": object{}}, nil)
	need(t, answerWithin, "the spans of Redis and of the request over the socket arrive", func() bool {
		received.mu.Lock()
		defer received.mu.Unlock()
		socket, redis := false, false
		for _, s := range received.spans {
			socket = socket || s.node == "two" && s.name == "socket group:message" && s.parent == ""
			redis = redis || s.node == "two" && strings.HasPrefix(s.name, "redis ") && s.parent != ""
		}
		return socket && redis
	})

	received.mu.Lock()
	n := 0
	for _, s := range received.spans {
		if s.trace == trace && s.node == "two" {
			n++
		}
	}
	received.mu.Unlock()
	if n != 1 {
		t.Errorf("%d spans on the node with %d subscribers, want one", n, len(others)+1)
	}
}
