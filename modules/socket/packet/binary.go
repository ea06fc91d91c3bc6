package packet

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Attachments returns the number of binary messages that follow a packet, according to the
// beginning of its header. It returns 0 if the packet is not binary or is malformed.
func Attachments(data []byte) int {
	if len(data) == 0 || data[0] != '0'+byte(binaryEvent) && data[0] != '0'+byte(binaryAck) {
		return 0
	}
	digits, _, found := bytes.Cut(data[1:min(len(data), 4)], []byte{'-'})
	n, err := strconv.ParseUint(string(digits), 10, 8)
	if !found || err != nil || n > MaxAttachments {
		return 0
	}
	return int(n)
}

// IsAck reports whether a packet is an acknowledgement, according to the beginning of its
// header.
func IsAck(data []byte) bool {
	return len(data) > 0 && (data[0] == '0'+byte(Ack) || data[0] == '0'+byte(binaryAck))
}

// IsConnect reports whether a packet is a CONNECT, according to its first byte.
func IsConnect(data []byte) bool { return len(data) > 0 && data[0] == '0'+byte(Connect) }

// Binary is binary data in the arguments of an event or an acknowledgement, at any depth.
// Socket.IO clients receive it as an attachment: an ArrayBuffer or a Buffer. Clients of
// plain WebSockets receive base64. In other JSON, use []byte.
type Binary []byte

// mark is the first part of the JSON of a [Binary] in [EncodeArgs]. Clients cannot guess
// it, so none of their strings is taken for binary data.
var mark = func() string {
	var random [15]byte
	_, _ = rand.Read(random[:]) // never fails
	return "binary:" + base64.StdEncoding.EncodeToString(random[:]) + ":"
}()

// MarshalJSON implements [json.Marshaler] for [EncodeArgs].
func (b Binary) MarshalJSON() ([]byte, error) {
	return json.Marshal(mark + base64.StdEncoding.EncodeToString(b))
}

// UnmarshalJSON implements [json.Unmarshaler]. It accepts base64.
func (b *Binary) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, (*[]byte)(b)) }

// placeholderKey marks the object that stands for an attachment.
var placeholderKey = []byte(`"_placeholder"`)

// Values returns the arguments. Each is a json.RawMessage or a [Binary]. An argument with
// binary data inside is decoded by encoding/json and contains [Binary]. The error is an
// [ErrMalformed].
func (p *Packet) Values() ([]any, error) {
	values := make([]any, len(p.Args))
	for i, arg := range p.Args {
		if len(p.Binary) == 0 || !bytes.Contains(arg, placeholderKey) {
			values[i] = arg
			continue
		}
		if err := rawjson.Check(arg); err != nil {
			return nil, malformed("an argument " + err.Error())
		}
		decoder := json.NewDecoder(bytes.NewReader(arg))
		decoder.UseNumber()
		var tree any
		if err := decoder.Decode(&tree); err != nil {
			return nil, malformed("an argument cannot be decoded")
		}
		value, err := p.attach(tree)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// attach replaces placeholders in a decoded value.
func (p *Packet) attach(value any) (_ any, err error) {
	switch value := value.(type) {
	case []any:
		for i := range value {
			if value[i], err = p.attach(value[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if value["_placeholder"] == true {
			return p.attachment(value["num"])
		}
		for key := range value {
			if value[key], err = p.attach(value[key]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func (p *Packet) attachment(num any) (Binary, error) {
	number, _ := num.(json.Number)
	n, err := strconv.ParseUint(string(number), 10, 8)
	if err != nil || n >= uint64(len(p.Binary)) {
		return nil, malformed("a placeholder has no attachment")
	}
	return p.Binary[n], nil
}

// ErrPlaceholder is returned by [EncodeArgs] for data that a client could mistake for an
// attachment.
var ErrPlaceholder = errors.New("packet: an argument beside binary data has a field _placeholder")

// EncodeArgs encodes arguments as JSON, separated by commas, and returns the binary data in
// them. A []byte counts as binary, like [Binary]. A json.RawMessage must be valid JSON and
// is copied unchanged. More than [MaxAttachments] are an error.
func EncodeArgs(args []any) (data []byte, binary [][]byte, err error) {
	for i, arg := range args {
		if i > 0 {
			data = append(data, ',')
		}
		switch arg := arg.(type) {
		case json.RawMessage:
			data = append(data, arg...)
		case []byte:
			data, binary = appendPlaceholder(data, len(binary)), append(binary, arg)
		case Binary:
			data, binary = appendPlaceholder(data, len(binary)), append(binary, arg)
		default:
			encoded, err := rawjson.Marshal(arg)
			if err != nil {
				return nil, nil, err
			}
			if data, binary, err = extract(data, encoded, binary); err != nil {
				return nil, nil, err
			}
		}
	}
	switch {
	case len(binary) > MaxAttachments:
		return nil, nil, fmt.Errorf("packet: %d attachments are more than %d", len(binary), MaxAttachments)
	case len(binary) > 0 && rawjson.CountKey(data, "_placeholder") != len(binary):
		return nil, nil, ErrPlaceholder // it is not from extract, so it may be from a client
	}
	return data, binary, nil
}

// extract appends encoded to data, with a placeholder for each [Binary].
func extract(data, encoded []byte, binary [][]byte) ([]byte, [][]byte, error) {
	for {
		before, rest, found := bytes.Cut(encoded, []byte(`"`+mark))
		data = append(data, before...)
		if !found {
			return data, binary, nil
		}
		text, after, _ := bytes.Cut(rest, []byte{'"'})
		attachment, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil {
			return nil, nil, err
		}
		data, binary = appendPlaceholder(data, len(binary)), append(binary, attachment)
		encoded = after
	}
}

func appendPlaceholder(data []byte, n int) []byte {
	data = append(data, `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(data, int64(n), 10), '}')
}

// Inline returns encoded arguments with base64 in place of their attachments.
func Inline(data []byte, binary [][]byte) []byte {
	for n, attachment := range binary {
		text := append(base64.StdEncoding.AppendEncode([]byte{'"'}, attachment), '"')
		data = bytes.Replace(data, appendPlaceholder(nil, n), text, 1)
	}
	return data
}
