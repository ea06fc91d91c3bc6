package group

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/moim-live/moim/internal/rawjson"
)

// mergePatch is a JSON merge patch (RFC 7396) that was taken apart, so that
// applying it in a transaction parses nothing that a client sent. It may be
// applied any number of times, also concurrently.
type mergePatch struct {
	given bool
	root  rawjson.Node
}

// parsePatch takes a patch apart. It must be valid JSON of bounded depth, or
// nil, which changes nothing.
func parsePatch(raw json.RawMessage) mergePatch {
	if raw == nil {
		return mergePatch{}
	}
	return mergePatch{given: true, root: rawjson.Parse(tidy(raw))}
}

// apply returns target with the patch applied. Numbers keep their digits. An
// empty target counts as absent; any other must be valid JSON. The time is
// linear in the length of both.
func (p mergePatch) apply(target json.RawMessage) json.RawMessage {
	if !p.given {
		return target
	}
	var to rawjson.Node
	if len(target) > 0 {
		to = rawjson.Parse(target)
	}
	return merge(to, p.root).Append(make([]byte, 0, len(target)+len(p.root.Raw)))
}

// merge changes target's members, never the patch's.
func merge(target, patch rawjson.Node) rawjson.Node {
	if patch.Members == nil {
		return patch
	}
	members := target.Members
	if members == nil {
		members = make(map[string]rawjson.Node, len(patch.Members))
	}
	for name, change := range patch.Members {
		if change.IsNull() {
			delete(members, name)
		} else {
			members[name] = merge(members[name], change)
		}
	}
	return rawjson.Node{Members: members}
}

// sameJSON reports whether a and b are the same value, whatever the order of
// their names. Numbers are compared as they are written.
func sameJSON(a, b json.RawMessage) bool {
	x, errX := decodeAny(a)
	y, errY := decodeAny(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func decodeAny(raw json.RawMessage) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}
