// Package asyncapi describes the socket events of a node as an AsyncAPI 3.0 document: see
// [Document]. The schemas come from the Go types that handlers and emitters use. The
// package knows neither groups nor HTTP.
package asyncapi

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/engine"
)

// Description is the input for a document.
type Description struct {
	Version  string         // version of the server
	Requests []socket.Event // events from clients; each is answered
	Pushes   []socket.Event // events from the server
	// Data is for pushes that contain events. By the name of the push, it has a value of
	// the type of data.data for each value of data.type.
	Data  map[string]map[string]any
	Codes []string // error codes of modules
}

// object is any JSON object.
type object = map[string]any

// The channels: one for each endpoint.
const (
	socketIO = "socketio"
	plain    = "plain"
)

// Document returns the document as JSON.
func Document(d Description) ([]byte, error) {
	b := newBuilder(d)
	channels, operations := object{}, object{}
	for _, endpoint := range []string{socketIO, plain} {
		messages := object{}
		for _, e := range d.Requests {
			key := messageKey(e.Name)
			messages[key] = b.request(endpoint, e)
			messages[key+".answer"] = b.answer(endpoint, e)
			operations[endpoint+"."+key] = object{
				"action": "receive", "summary": e.About,
				"channel": channelRef(endpoint), "messages": []any{messageRef(endpoint, key)},
				"reply": object{"channel": channelRef(endpoint), "messages": []any{messageRef(endpoint, key+".answer")}},
			}
		}
		for _, e := range d.Pushes {
			if e.PlainOnly && endpoint == socketIO {
				continue
			}
			key := messageKey(e.Name) + ".push" // clients also send some of these names
			messages[key] = b.push(endpoint, e)
			operations[endpoint+"."+key] = object{
				"action": "send", "summary": e.About,
				"channel": channelRef(endpoint), "messages": []any{messageRef(endpoint, key)},
			}
		}
		channels[endpoint] = channel(endpoint, messages)
	}
	document, err := json.Marshal(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Moim", "version": d.Version,
			"description": "The events of Moim's sockets. The action of an operation is the server's: it receives a client's request, replies, and sends the events of groups.",
		},
		"defaultContentType": "application/json",
		"servers":            object{socketIO: server("/socket.io/", "socket.io"), plain: server("/ws", "ws")},
		"channels":           channels,
		"operations":         operations,
		"components": object{
			"schemas": b.schemas(),
			"securitySchemes": object{"bearer": object{
				"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
				"description": "Over Socket.IO: auth.token of the client's options. Over the plain WebSocket: the subprotocols moim and bearer.TOKEN. Both also take the header Authorization.",
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the AsyncAPI document: %w", err)
	}
	return document, nil
}

// messageKey converts an event's name to a key of the document, which cannot contain
// colons.
func messageKey(event string) string { return strings.ReplaceAll(event, ":", ".") }

func channelRef(endpoint string) object { return object{"$ref": "#/channels/" + endpoint} }

func messageRef(endpoint, key string) object {
	return object{"$ref": "#/channels/" + endpoint + "/messages/" + key}
}

func server(path, protocol string) object {
	return object{
		"host": "{host}", "pathname": "{prefix}" + path, "protocol": protocol,
		"variables": object{
			"host":   object{"default": "127.0.0.1:8080", "description": "address of the node or the load balancer"},
			"prefix": object{"default": "", "description": "the prefix below which a program mounts Moim"},
		},
		"security": []any{object{"$ref": "#/components/securitySchemes/bearer"}},
	}
}

func channel(endpoint string, messages object) object {
	c := object{"address": nil, "servers": []any{object{"$ref": "#/servers/" + endpoint}}, "messages": messages}
	if endpoint == socketIO {
		c["title"] = "Socket.IO"
		c["description"] = "The namespace / of Socket.IO 5 (socket.io-client 3 and 4). A message's payload is the only argument of the event, and that of an answer the only argument of the acknowledgement."
		return c
	}
	c["title"] = "Plain WebSocket"
	c["description"] = "One JSON message in each text frame. An answer has the id of its request. A request without id is not answered."
	c["bindings"] = object{"ws": object{"method": "GET"}}
	c["x-close-codes"] = engine.CloseCodes()
	return c
}
