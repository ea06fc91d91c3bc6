package rawjson

import (
	"encoding/json"
	"maps"
	"slices"
)

// Node is a JSON value, with its members if it is an object.
type Node struct {
	Raw     json.RawMessage // the encoded value; empty for an object built from Members
	Members map[string]Node // nil if the value is not an object
}

// Parse parses a value in one pass. It does not parse the elements of arrays. If members
// have the same key, the last one counts. Parse recurses once for each level, so check the
// depth of data first.
func Parse(data []byte) Node {
	n, _ := parse(data, 0)
	return n
}

// parse parses the value at i and returns the index after it.
func parse(data []byte, i int) (n Node, end int) {
	i = skipSpace(data, i)
	begin := i
	switch data[i] {
	case '{':
		n.Members, end = parseMembers(data, i)
	case '[':
		end = endOfArray(data, i)
	case '"':
		end = endOfString(data, i) + 1
	default:
		end = endOfWord(data, i)
	}
	n.Raw = data[begin:end]
	return n, end
}

// parseMembers parses the object at i.
func parseMembers(data []byte, i int) (members map[string]Node, end int) {
	members = make(map[string]Node)
	for i++; ; {
		i = skipSpace(data, i)
		switch data[i] {
		case '}':
			return members, i + 1
		case ',':
			i++
		default:
			end := endOfString(data, i) + 1
			key, _ := Text(data[i:end])
			colon := skipSpace(data, end)
			members[key], i = parse(data, colon+1)
		}
	}
}

func skipSpace(data []byte, i int) int {
	for data[i] == ' ' || data[i] == '\t' || data[i] == '\r' || data[i] == '\n' {
		i++
	}
	return i
}

// endOfArray returns the index after the array at i.
func endOfArray(data []byte, i int) int {
	for level := 0; ; i++ {
		switch data[i] {
		case '"':
			i = endOfString(data, i)
		case '[':
			level++
		case ']':
			if level--; level == 0 {
				return i + 1
			}
		}
	}
}

// endOfWord returns the index after the number, true, false or null at i.
func endOfWord(data []byte, i int) int {
	for ; i < len(data); i++ {
		switch data[i] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return i
}

// IsNull reports whether the value is null.
func (n Node) IsNull() bool { return string(n.Raw) == "null" }

// Append appends the encoded value. Members of a built object are sorted by key.
func (n Node) Append(dst []byte) []byte {
	if len(n.Raw) > 0 {
		return append(dst, n.Raw...)
	}
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(n.Members)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, key), ':')
		dst = n.Members[key].Append(dst)
	}
	return append(dst, '}')
}
