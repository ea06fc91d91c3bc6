package nodebridge

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// Limits of a message. Larger ones are neither read nor written: Node's decoder is
// recursive, and a full stack ends its process.
const (
	maxBytes  = 16 << 20
	maxDepth  = rawjson.MaxDepth
	maxValues = 1 << 18 // in all arrays and objects together
)

var (
	errMalformed = errors.New("nodebridge: malformed message")
	errTooDeep   = errors.New("nodebridge: a message that Node's servers share has arrays and objects in more than 128 levels")
	errTooLong   = errors.New("nodebridge: a message that Node's servers share is longer than 16 MiB")
	errTooMany   = errors.New("nodebridge: a message that Node's servers share has more than 262144 values")
)

// Placeholders stand for binary data in JSON, as in packets of Socket.IO.
const placeholderStart = `{"_placeholder":true,"num":`

// fromMsgpack converts msgpack to JSON with placeholders, and returns the binary data. It
// reads the output of Node's notepack.io: https://github.com/darrachequesne/notepack.
func fromMsgpack(data []byte) (text []byte, attachments [][]byte, err error) {
	t := fromMsgpackTranscoder{rest: data}
	if err := t.value(0); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch {
	case len(t.rest) > 0:
		return nil, nil, fmt.Errorf("%w: something follows it", errMalformed)
	case t.forged && len(t.attachments) > 0:
		return nil, nil, fmt.Errorf("%w: a field _placeholder beside binary data", errMalformed)
	}
	return t.text, t.attachments, nil
}

type fromMsgpackTranscoder struct {
	rest        []byte
	text        []byte
	attachments [][]byte
	values      int
	forged      bool // a field could be mistaken for a placeholder
}

// value appends the next value. Each call reads at least a byte, so the work is limited by
// the size of the input, regardless of the lengths in it.
func (t *fromMsgpackTranscoder) value(depth int) error {
	t.values++
	switch {
	case depth > maxDepth:
		return errTooDeep
	case t.values > maxValues:
		return errTooMany
	}
	switch msgp.NextType(t.rest) {
	case msgp.MapType:
		n, rest, err := msgp.ReadMapHeaderBytes(t.rest)
		t.rest = rest
		return t.list(n, err, '{', '}', func() error { return t.member(depth + 1) })
	case msgp.ArrayType:
		n, rest, err := msgp.ReadArrayHeaderBytes(t.rest)
		t.rest = rest
		return t.list(n, err, '[', ']', func() error { return t.value(depth + 1) })
	case msgp.BinType:
		if len(t.attachments) == maxAttachments {
			return fmt.Errorf("clients accept at most %d attachments", maxAttachments)
		}
		value, rest, err := msgp.ReadBytesZC(t.rest)
		t.text = append(strconv.AppendInt(append(t.text, placeholderStart...), int64(len(t.attachments)), 10), '}')
		t.attachments, t.rest = append(t.attachments, value), rest
		return err
	case msgp.StrType:
		text, err := t.string()
		t.text = rawjson.AppendString(t.text, text)
		return err
	case msgp.NilType:
		rest, err := msgp.ReadNilBytes(t.rest)
		t.text, t.rest = append(t.text, "null"...), rest
		return err
	case msgp.BoolType:
		value, rest, err := msgp.ReadBoolBytes(t.rest)
		t.text, t.rest = strconv.AppendBool(t.text, value), rest
		return err
	case msgp.IntType:
		value, rest, err := msgp.ReadInt64Bytes(t.rest)
		t.text, t.rest = strconv.AppendInt(t.text, value, 10), rest
		return err
	case msgp.UintType:
		value, rest, err := msgp.ReadUint64Bytes(t.rest)
		t.text, t.rest = strconv.AppendUint(t.text, value, 10), rest
		return err
	case msgp.Float32Type:
		value, rest, err := msgp.ReadFloat32Bytes(t.rest)
		t.rest = rest
		t.float(float64(value))
		return err
	case msgp.Float64Type:
		value, rest, err := msgp.ReadFloat64Bytes(t.rest)
		t.rest = rest
		t.float(value)
		return err
	default:
		return t.extension()
	}
}

func (t *fromMsgpackTranscoder) list(n uint32, err error, open, end byte, next func() error) error {
	t.text = append(t.text, open)
	for i := uint32(0); i < n && err == nil; i++ {
		if i > 0 {
			t.text = append(t.text, ',')
		}
		err = next()
	}
	t.text = append(t.text, end)
	return err
}

func (t *fromMsgpackTranscoder) member(depth int) error {
	key, err := t.string()
	if err != nil {
		return err
	}
	t.forged = t.forged || key == "_placeholder"
	t.text = append(rawjson.AppendString(t.text, key), ':')
	return t.value(depth)
}

func (t *fromMsgpackTranscoder) string() (string, error) {
	value, rest, err := msgp.ReadStringZC(t.rest)
	t.rest = rest
	return string(bytes.ToValidUTF8(value, []byte("\uFFFD"))), err
}

// float appends a number as JavaScript's JSON.stringify does.
func (t *fromMsgpackTranscoder) float(value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		t.text = append(t.text, "null"...)
		return
	}
	number, _ := json.Marshal(value) // the value is finite
	t.text = append(t.text, number...)
}

// time appends a date as JavaScript's Date.toJSON does.
func (t *fromMsgpackTranscoder) time(value time.Time) {
	if year := value.UTC().Year(); year < 0 || year > 9999 {
		t.text = append(t.text, "null"...)
		return
	}
	t.text = append(t.text, '"')
	t.text = value.UTC().AppendFormat(t.text, "2006-01-02T15:04:05.000Z")
	t.text = append(t.text, '"')
}

// extension appends a date, or a value that older versions of notepack.io write as
// extension 0.
func (t *fromMsgpackTranscoder) extension() error {
	switch {
	case len(t.rest) >= 3 && t.rest[0] == 0xd4 && t.rest[1] == 0: // undefined
		t.text, t.rest = append(t.text, "null"...), t.rest[3:]
	case len(t.rest) >= 10 && t.rest[0] == 0xd7 && t.rest[1] == 0: // a date
		t.time(time.UnixMilli(int64(binary.BigEndian.Uint64(t.rest[2:]))))
		t.rest = t.rest[10:]
	default:
		value, rest, err := msgp.ReadTimeUTCBytes(t.rest)
		if err != nil {
			return errors.New("it has a value of an unknown type")
		}
		t.rest = rest
		t.time(value)
	}
	return nil
}

// toMsgpack converts JSON with placeholders for binary data to msgpack.
func toMsgpack(text []byte, attachments [][]byte) ([]byte, error) {
	t := toMsgpackTranscoder{
		text:        text,
		tokens:      json.NewDecoder(bytes.NewReader(text)),
		attachments: attachments,
		data:        make([]byte, 0, len(text)),
	}
	t.tokens.UseNumber()
	if err := t.value(0); err != nil {
		return nil, err
	}
	if _, err := t.tokens.Token(); !errors.Is(err, io.EOF) || t.placed != len(attachments) {
		return nil, errMalformed
	}
	return t.data, nil
}

type toMsgpackTranscoder struct {
	text        []byte
	tokens      *json.Decoder
	attachments [][]byte
	placed      int // number of used attachments: each is used once, in order
	data        []byte
}

func (t *toMsgpackTranscoder) value(depth int) error {
	token, err := t.tokens.Token()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errMalformed, err)
	case len(t.data) > maxBytes:
		return errTooLong
	}
	switch token := token.(type) {
	case json.Delim:
		if token != '[' && token != '{' {
			return errMalformed
		}
		return t.list(token, depth+1)
	case string:
		t.data = msgp.AppendString(t.data, token)
	case json.Number:
		t.number(token)
	case bool:
		t.data = msgp.AppendBool(t.data, token)
	default:
		t.data = msgp.AppendNil(t.data)
	}
	return nil
}

// list appends an array or an object. The header uses the form with a 32-bit length, which
// is filled in at the end.
func (t *toMsgpackTranscoder) list(open json.Delim, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	const array, object = 0xdd, 0xdf
	kind := byte(array)
	if open == '{' {
		if found, err := t.placeholder(); found || err != nil {
			return err
		}
		kind = object
	}
	head := len(t.data)
	t.data = append(t.data, kind, 0, 0, 0, 0)
	n := uint32(0)
	for ; t.tokens.More(); n++ {
		if kind == object {
			key, err := t.tokens.Token()
			if err != nil {
				return fmt.Errorf("%w: %w", errMalformed, err)
			}
			t.data = msgp.AppendString(t.data, fmt.Sprint(key)) // always a string, because the decoder checks it
		}
		if err := t.value(depth); err != nil {
			return err
		}
	}
	binary.BigEndian.PutUint32(t.data[head+1:], n)
	_, err := t.tokens.Token() // the end
	return err
}

// placeholder appends binary data instead of an object if the object is a placeholder. The
// object's first byte has been read already.
func (t *toMsgpackTranscoder) placeholder() (found bool, err error) {
	afterBrace := placeholderStart[1:]
	if len(t.attachments) == 0 || !bytes.HasPrefix(t.text[t.tokens.InputOffset():], []byte(afterBrace)) {
		return false, nil
	}
	var tokens [5]json.Token // _placeholder, true, num, its value, the end
	for i := range tokens {
		if tokens[i], err = t.tokens.Token(); err != nil {
			return false, fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	if tokens[3] != json.Number(strconv.Itoa(t.placed)) || tokens[4] != json.Delim('}') || t.placed >= len(t.attachments) {
		return false, errMalformed
	}
	t.data = msgp.AppendBytes(t.data, t.attachments[t.placed])
	t.placed++
	return true, nil
}

func (t *toMsgpackTranscoder) number(n json.Number) {
	if i, err := n.Int64(); err == nil {
		t.data = msgp.AppendInt64(t.data, i)
		return
	}
	f, _ := n.Float64() // infinite if out of range, as in JavaScript
	t.data = msgp.AppendFloat64(t.data, f)
}
