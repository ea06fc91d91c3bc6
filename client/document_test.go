package client

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moim-live/moim/internal/schematest"
)

// documented is a transport that compares each call and its answer with the server's API
// document.
type documented struct {
	t         *testing.T
	calls     []documentedCall
	schemas   *jsonschema.Compiler
	responses map[string]any // by the place of a call in the document

	mu   sync.Mutex
	made map[string]bool // the calls that were made, by place
}

// documentedCall is a call of the document.
type documentedCall struct {
	name    string         // GET /v1/groups/{groupId}
	pattern *regexp.Regexp // matches the name with an escaped path
	place   string         // where the call is in the document
}

const documentName = "openapi.json"

var parameter = regexp.MustCompile(`\\\{[^}]+\\\}`)

// readDocument reads the document of a server.
func readDocument(t *testing.T, url string) *documented {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/"+documentName, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	document, err := jsonschema.UnmarshalJSON(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	schematest.Close(document)
	d := &documented{t: t, schemas: jsonschema.NewCompiler(), responses: map[string]any{}, made: map[string]bool{}}
	d.schemas.DefaultDraft(jsonschema.Draft2020)
	if err := d.schemas.AddResource(documentName, document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range at(document, "paths") {
		for method, call := range at(methods) {
			name := strings.ToUpper(method) + " " + path
			place := "#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method
			d.responses[place] = at(call, "responses")
			d.calls = append(d.calls, documentedCall{
				name:    name,
				pattern: regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(name), "[^/]+") + "$"),
				place:   place,
			})
		}
	}
	// /users/me/groups is a separate call, although /users/{userId}/groups also matches it.
	slices.SortFunc(d.calls, func(a, b documentedCall) int { return strings.Count(a.name, "{") - strings.Count(b.name, "{") })
	return d
}

// at returns the object at a path of names.
func at(value any, names ...string) map[string]any {
	object, _ := value.(map[string]any)
	for _, name := range names {
		object, _ = object[name].(map[string]any)
	}
	return object
}

// RoundTrip implements [http.RoundTripper].
func (d *documented) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	name := req.Method + " " + req.URL.EscapedPath()
	i := slices.IndexFunc(d.calls, func(c documentedCall) bool { return c.pattern.MatchString(name) })
	if i < 0 {
		d.t.Errorf("the document does not describe %s", name)
		return res, nil
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 {
		d.mu.Lock()
		d.made[d.calls[i].place] = true
		d.mu.Unlock()
	}
	if err := d.compare(d.calls[i].place, res, body); err != nil {
		d.t.Errorf("%s answered %d: %v", name, res.StatusCode, err)
	}
	return res, nil
}

// compare compares an answer with its description in the document.
func (d *documented) compare(place string, res *http.Response, body []byte) error {
	status := strconv.Itoa(res.StatusCode)
	response := at(d.responses[place], status)
	if response == nil {
		return fmt.Errorf("the document has no such answer")
	}
	content := at(response, "content")
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("the document has no body, the answer has %q", body)
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if content[media] == nil {
		return fmt.Errorf("the document has no answer of type %s", media)
	}
	if at(content[media], "schema") == nil {
		return nil
	}
	d.mu.Lock()
	schema, err := d.schemas.Compile(documentName + place + "/responses/" + status + "/content/" + strings.ReplaceAll(media, "/", "~1") + "/schema")
	d.mu.Unlock()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", body, err)
	}
	return nil
}

// needAll fails for each documented call that was not made.
func (d *documented) needAll() {
	d.t.Helper()
	for _, call := range d.calls {
		if !d.made[call.place] {
			d.t.Errorf("the client does not make the call %s", call.name)
		}
	}
}
