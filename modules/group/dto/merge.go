package dto

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Patch is a JSON merge patch (RFC 7396) of an object. It is parsed before a transaction
// begins, because no client data should be parsed inside. It may be applied any number of
// times, also concurrently.
type Patch struct {
	given bool
	field string // the field with the patch
	root  rawjson.Node
	limit int // maximum size of the patched object, in bytes
}

// newPatch parses a patch. It must be valid JSON of limited depth. A nil patch changes
// nothing.
func newPatch(field string, raw json.RawMessage, limit int) Patch {
	if raw == nil {
		return Patch{}
	}
	return Patch{given: true, field: field, root: rawjson.Parse(raw), limit: limit}
}

// Apply returns the patched object and whether it differs from the given one. The patch
// null empties the object. Apply returns validation_failed if the result is too large. Its
// time is linear in the length of both.
func (p Patch) Apply(object json.RawMessage) (patched json.RawMessage, changed bool, err error) {
	if !p.given {
		return object, false, nil
	}
	patched = json.RawMessage("{}")
	if !p.root.IsNull() {
		patched = p.merge(object)
	}
	if len(patched) > p.limit {
		var m mistakes
		m.add(p.field, tooLarge, p.limit)
		return nil, false, m.err()
	}
	if sameJSON(object, patched) {
		return object, false, nil
	}
	return patched, true, nil
}

// merge returns target with the patch applied. Numbers keep their digits. An empty target
// counts as absent.
func (p Patch) merge(target json.RawMessage) json.RawMessage {
	var to rawjson.Node
	if len(target) > 0 {
		to = rawjson.Parse(target)
	}
	return merge(to, p.root).Append(make([]byte, 0, len(target)+len(p.root.Raw)))
}

// merge changes target's members, but never the patch's.
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

// sameJSON reports whether a and b are the same value. The order of names does not matter.
// Numbers are compared as text.
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
