package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moim-live/moim/internal/schematest"
)

// maxChecked is how many frames of a connection are compared with the document, because some
// tests send very many.
const maxChecked = 200

// contract is the AsyncAPI document of the nodes. Frames are compared with it.
type contract struct {
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// theContract is read from the first node that a client connects to. All nodes have the same
// document.
var theContract = struct {
	sync.Mutex
	*contract
}{}

// readContract returns the contract of a node.
func readContract(t *testing.T, base string) *contract {
	t.Helper()
	theContract.Lock()
	defer theContract.Unlock()
	if theContract.contract == nil {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(download(t, base+"/asyncapi.json")))
		if err != nil {
			t.Fatal(err)
		}
		schematest.Close(document)
		compiler := jsonschema.NewCompiler()
		compiler.DefaultDraft(jsonschema.Draft7)
		if err := compiler.AddResource("asyncapi.json", document); err != nil {
			t.Fatal(err)
		}
		theContract.contract = &contract{compiler: compiler, compiled: make(map[string]*jsonschema.Schema)}
	}
	return theContract.contract
}

// check compares JSON with the schema of a message's payload, or of a part of it. It accepts
// everything if there is no contract.
func (c *contract) check(endpoint, message, part string, data []byte) error {
	if c == nil {
		return nil
	}
	place := "asyncapi.json#/channels/" + endpoint + "/messages/" + strings.ReplaceAll(message, ":", ".") + "/payload" + part
	c.mu.Lock()
	defer c.mu.Unlock()
	schema := c.compiled[place]
	if schema == nil {
		var err error
		if schema, err = c.compiler.Compile(place); err != nil {
			return fmt.Errorf("the document does not describe %s: %w", message, err)
		}
		c.compiled[place] = schema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%s is not as the document says: %s: %w", message, data, err)
	}
	return nil
}

// checkPush checks a message that a server sent without a request.
func (c *contract) checkPush(event string, data json.RawMessage) error {
	frame, err := json.Marshal(plainMessage{Event: event, Data: data})
	if err != nil {
		return err
	}
	return c.check("plain", event+".push", "", frame)
}

// checkCall checks a successful request and its answer.
func (c *contract) checkCall(event string, data any, answer json.RawMessage) error {
	sent, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if err := c.check("socketio", event, "", sent); err != nil {
		return err
	}
	return c.check("socketio", event+".answer", "/oneOf/0/properties/data", answer)
}

// checkFailure checks an error answer.
func (c *contract) checkFailure(event string, failure *apiError) error {
	if c == nil {
		return nil
	}
	code, err := json.Marshal(failure.Code)
	if err != nil {
		return err
	}
	c.mu.Lock()
	schema, err := c.compiler.Compile("asyncapi.json#/components/schemas/Failure/properties/code")
	c.mu.Unlock()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(code))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%s failed with a code that the document does not list: %w", event, err)
	}
	return nil
}

// TestSocketDocument checks that the document of the sockets is valid AsyncAPI 3.0, and that
// frames are compared with it.
func TestSocketDocument(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	if err := clientOnce(); err != nil {
		skipOrFail(t, err)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("node_modules", "@asyncapi", "specs", "schemas", "3.0.0-without-$id.json"))
	if err != nil {
		t.Fatal(err)
	}
	document := download(t, n.URL()+"/asyncapi.json")
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Error(err)
	}
	for _, event := range []string{"group:subscribe", "presence:set", "auth", "group:event", "token:expiring", "socket:reconnect"} {
		if !strings.Contains(document, `"const":"`+event+`"`) {
			t.Errorf("%s is not described", event)
		}
	}
	c := readContract(t, n.URL())
	for name, test := range map[string]struct {
		event, data string
		good        bool
	}{
		"a message":       {"group:event", `{"groupId":"g","version":1,"type":"message.posted","actor":"a","at":"2026-01-01T00:00:00Z","data":{"type":"message","data":1}}`, true},
		"other data":      {"group:event", `{"groupId":"g","version":1,"type":"message.posted","actor":"a","at":"2026-01-01T00:00:00Z","data":{"userId":"a"}}`, false},
		"of an erased":    {"group:event", `{"groupId":"g","version":1,"type":"member.joined","actor":null,"at":"2026-01-01T00:00:00Z","data":{"userId":null}}`, true},
		"an unknown type": {"group:event", `{"groupId":"g","version":1,"type":"message.lost","actor":"a","at":"2026-01-01T00:00:00Z","data":{}}`, false},
		"a field more":    {"group:closed", `{"groupId":"g","reason":"left","by":"a"}`, false},
		"a large group":   {"group:presence", `{"groupId":"g","online":2000,"items":[]}`, true},
	} {
		if err := c.checkPush(test.event, json.RawMessage(test.data)); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	failure := &apiError{Code: "unheard_of"}
	if c.checkFailure("group:join", failure) == nil || c.checkCall("group:join", object{"groupId": "g"}, json.RawMessage(`{"status":"lost"}`)) == nil {
		t.Error("the check accepts wrong answers")
	}
}
