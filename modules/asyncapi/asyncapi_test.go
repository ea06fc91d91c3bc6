package asyncapi_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moim-live/moim/modules/asyncapi"
	"github.com/moim-live/moim/modules/socket"
)

type order struct {
	Table int `json:"table"`
}

type placed struct {
	Number int `json:"number"`
}

type news struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

type served struct {
	Dish string `json:"dish"`
}

type paid struct {
	UserID string `json:"userId"`
	Sum    int    `json:"sum"`
}

// TestDocument compares frames with their schemas in a document.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := asyncapi.Document(asyncapi.Description{
		Version: "1.2.3",
		Requests: []socket.Event{
			{Name: "order:place", Data: reflect.TypeFor[order](), Answer: reflect.TypeFor[placed]()},
			{Name: "own", Data: reflect.TypeFor[order](), Answer: reflect.TypeFor[placed](), Program: true},
		},
		Pushes: []socket.Event{
			{Name: "order:news", Data: reflect.TypeFor[news]()},
			{Name: "hello", Data: reflect.TypeFor[placed](), PlainOnly: true},
		},
		Data:  map[string]map[string]any{"order:news": {"served": served{}, "paid": paid{}}},
		Codes: []string{"closed", "full"},
	})
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	if err := compiler.AddResource("doc.json", document); err != nil {
		t.Fatal(err)
	}
	const unknown = "no such message"
	for _, c := range []struct{ message, frame, problem string }{
		{"socketio/messages/order.place", `{"table":1}`, ""},
		{"socketio/messages/order.place", `{"table":1,"more":2}`, "additional properties"},
		{"socketio/messages/order.place", `{}`, "missing property"},
		{"socketio/messages/order.place.answer", `{"data":{"number":7,"later":1}}`, ""},
		{"socketio/messages/order.place.answer", `{"error":{"code":"full","message":"no table is free"}}`, ""},
		{"socketio/messages/order.place.answer", `{"error":{"code":"other","message":"…"}}`, "one of"},
		{"socketio/messages/own.answer", `{"error":{"code":"other","message":"…"}}`, ""},
		{"plain/messages/order.place", `{"id":1,"event":"order:place","data":{"table":1}}`, ""},
		{"plain/messages/order.place", `{"event":"order:place","data":{"table":1},"date":1}`, "additional properties"},
		{"plain/messages/order.place", `{"event":"order:eat","data":{"table":1}}`, "value must be"},
		{"plain/messages/order.place.answer", `{"id":1,"data":{"number":7}}`, ""},
		{"plain/messages/order.place.answer", `{"data":{"number":7}}`, "missing property"},
		{"socketio/messages/order.news.push", `{"type":"served","data":{"dish":"tea"}}`, ""},
		{"socketio/messages/order.news.push", `{"type":"served","data":{"userId":null,"erased":true}}`, "missing property"},
		{"socketio/messages/order.news.push", `{"type":"paid","data":{"userId":"ana","sum":3}}`, ""},
		{"socketio/messages/order.news.push", `{"type":"paid","data":{"userId":null,"erased":true}}`, ""},
		{"socketio/messages/order.news.push", `{"type":"paid","data":{"userId":"ana","erased":true}}`, "missing property"},
		{"socketio/messages/order.news.push", `{"type":"served","data":{}}`, "missing property"},
		{"socketio/messages/order.news.push", `{"type":"burnt","data":{}}`, ""},
		{"plain/messages/order.news.push", `{"event":"order:news","data":{"type":"served","data":{"dish":"tea"}}}`, ""},
		{"plain/messages/hello.push", `{"event":"hello","data":{"number":1}}`, ""},
		{"socketio/messages/hello.push", `{"number":1}`, unknown},
	} {
		problem := ""
		schema, err := compiler.Compile("doc.json#/channels/" + c.message + "/payload")
		if err != nil {
			problem = unknown
		} else {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(c.frame))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				problem = err.Error()
			}
		}
		if (c.problem == "") != (problem == "") || !strings.Contains(problem, c.problem) {
			t.Errorf("%s: %s: %q, want %q", c.message, c.frame, problem, c.problem)
		}
	}
}
