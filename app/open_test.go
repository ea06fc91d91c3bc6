package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
)

// document is a part of an API document.
type document = map[string]any

// TestAnswersMayGetFields reads both API documents of all modules. A client that validates
// answers must accept fields that later versions add. A server must refuse requests with unknown
// fields.
func TestAnswersMayGetFields(t *testing.T) {
	t.Parallel()
	router := gin.New()
	start(t, config.Config{}, router)
	server := serve(t, router)
	read := func(path string) (d document) {
		if err := json.NewDecoder(get(t, server.URL+path, "").Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d
	}

	openAPI, requests, answers := read("/openapi.json"), 0, 0
	for path, methods := range inside(openAPI, "paths") {
		for method, call := range inside(methods) {
			requests += checkObjects(t, method+" "+path, openAPI, inside(call, "requestBody"), true)
			answers += checkObjects(t, method+" "+path, openAPI, inside(call, "responses"), false)
		}
	}
	if requests < 20 || answers < 100 {
		t.Errorf("%s describes %d objects of requests, and %d of answers", "/openapi.json", requests, answers)
	}

	asyncAPI, requests, answers := read("/asyncapi.json"), 0, 0
	for endpoint, channel := range inside(asyncAPI, "channels") {
		for name, message := range inside(channel, "messages") {
			payload := inside(message, "payload")
			if strings.HasSuffix(name, ".push") || strings.HasSuffix(name, ".answer") {
				answers += checkObjects(t, endpoint+" "+name, asyncAPI, payload, false)
			} else {
				requests += checkObjects(t, endpoint+" "+name, asyncAPI, payload, true)
			}
		}
	}
	if requests < 20 || answers < 100 {
		t.Errorf("%s describes %d objects of requests, and %d of answers", "/asyncapi.json", requests, answers)
	}
}

// inside returns the object at a path of names.
func inside(value any, names ...string) document {
	d, _ := value.(document)
	for _, name := range names {
		d, _ = d[name].(document)
	}
	return d
}

// checkObjects checks whether the object schemas in a part of a document, and in the schemas it
// refers to, are closed. It returns the number of objects.
func checkObjects(t *testing.T, place string, whole document, part any, closed bool) (n int) {
	t.Helper()
	seen := make(map[string]bool)
	var visit func(at string, part any)
	visit = func(at string, part any) {
		switch v := part.(type) {
		case []any:
			for _, element := range v {
				visit(at, element)
			}
		case document:
			if ref, is := v["$ref"].(string); is && !seen[ref] {
				seen[ref] = true
				visit(ref, inside(whole, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...))
			}
			if _, has := v["properties"]; has && v["type"] != nil {
				n++
				if (v["additionalProperties"] == false) != closed {
					t.Errorf("%s: an object in %s is closed: %v, want %v", place, at, !closed, closed)
				}
			}
			for name, value := range v {
				visit(at+"/"+name, value)
			}
		}
	}
	visit("", part)
	return n
}
