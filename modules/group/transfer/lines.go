package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// maxLine is the maximum size of a line. The limits of its fields are lower.
const maxLine = 256 << 10

// byteOrderMark is at the beginning of some programs' files. It is not text.
const byteOrderMark = "\ufeff"

// The kinds of lines. The kind is the name of the line's field.
const (
	aGroup   = "group"
	aMember  = "member"
	aBan     = "ban"
	anInvite = "invite"
	aMessage = "message"
)

// Mistake is a mistake in a line.
type Mistake struct {
	Line    int
	Field   string // empty if it is about the whole line
	Message string
}

// String formats the mistake. It escapes control characters in names of fields, which come
// from the file, because a terminal would interpret them.
func (m Mistake) String() string {
	text := m.Message
	if m.Field != "" {
		text = m.Field + ": " + text
	}
	return fmt.Sprintf("line %d: ", m.Line) + strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// line is one line of a file. If there are no mistakes, one of the pointers is set.
type line struct {
	number   int
	size     int
	kind     string
	mistakes []Mistake

	group   *dto.GroupLine
	member  *dto.MemberLine
	ban     *dto.BanLine
	invite  *dto.InviteLine
	message *dto.MessageLine
	source  string // id of the group in the file
}

// groupID returns the id of the line's group.
func (l *line) groupID() string { return GroupID(l.source) }

func (l *line) wrong(field, format string, args ...any) {
	if field != "" {
		field = l.kind + "." + field
	}
	l.mistakes = append(l.mistakes, Mistake{l.number, field, fmt.Sprintf(format, args...)})
}

// lines reads a file line by line and skips empty lines.
type lines struct {
	in     *bufio.Reader
	number int
}

func newLines(in io.Reader) *lines { return &lines{in: bufio.NewReaderSize(in, maxLine+2)} }

// next returns the next line, or io.EOF. The line is valid until the next call. long means
// that the line has more than maxLine bytes; it is then not returned.
func (r *lines) next() (text []byte, long bool, err error) {
	for {
		text, err = r.in.ReadSlice('\n')
		r.number++
		long = len(bytes.TrimRight(text, "\r\n")) > maxLine
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			_, err = r.in.ReadSlice('\n')
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(text) == 0 && !long) {
			return nil, false, err
		}
		if r.number == 1 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 || long {
			return text, long, nil
		}
	}
}

// parse parses a line and checks its limits.
func (c Config) parse(number int, text []byte, now time.Time) *line {
	l := &line{number: number, size: len(text)}
	switch {
	case !utf8.Valid(text):
		l.wrong("", "must be valid UTF-8: convert the file")
		return l
	case rawjson.Check(text) != nil:
		l.wrong("", "%v", rawjson.Check(text))
		return l
	case !json.Valid(text) || text[0] != '{':
		l.wrong("", "must be one JSON object")
		return l
	}
	members, one := rawjson.Split(text, 1)
	if !one || len(members) != 1 {
		l.wrong("", `must have one field, such as {"group": {…}}`)
		return l
	}
	var value json.RawMessage
	l.kind, value = rawjson.Member(members[0])
	if e, ok := errors.AsType[*fault.Error](l.read(value, c.Groups.LimitMembers, now)); ok {
		for _, f := range e.Fields {
			l.wrong(f.Field, "%s", f.Message)
		}
	}
	if l.group != nil && l.source == "" {
		l.source = string(text) // so that equal ids are the same group
	}
	return l
}

// read parses the line's value and checks its limits.
func (l *line) read(value json.RawMessage, maxMembers int, now time.Time) error {
	switch l.kind {
	case aGroup:
		v, err := read[dto.GroupLine](value).Validate(maxMembers, now)
		l.group, l.source = &v, v.ID
		return err
	case aMember:
		v, err := read[dto.MemberLine](value).Validate(now)
		l.member, l.source = &v, v.GroupID
		return err
	case aBan:
		v, err := read[dto.BanLine](value).Validate(now)
		l.ban, l.source = &v, v.GroupID
		return err
	case anInvite:
		v, err := read[dto.InviteLine](value).Validate(now)
		l.invite, l.source = &v, v.GroupID
		return err
	case aMessage:
		v, err := read[dto.MessageLine](value).Validate(now)
		l.message, l.source = &v, v.GroupID
		return err
	}
	kind := l.kind
	l.kind = ""
	l.wrong("", "%q is none of group, member, ban, invite and message", kind)
	return nil
}

// read parses a value, which is valid JSON. The value records its mistakes.
func read[T any](raw json.RawMessage) (v T) {
	_ = json.Unmarshal(raw, &v) // never fails: see package dto
	return v
}

// mayBe reports whether a line may be of one of the kinds, without parsing it.
func mayBe(text []byte, kinds ...string) bool {
	if !bytes.HasPrefix(text, []byte(`{"`)) || len(text) > 2 && text[2] == '\\' {
		return true // there are spaces, or an escaped name
	}
	return slices.ContainsFunc(kinds, func(kind string) bool { return bytes.HasPrefix(text[2:], []byte(kind+`"`)) })
}
