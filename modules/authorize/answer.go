package authorize

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/moim-live/moim/internal/names"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

const (
	// maxAnswer is the maximum size of an answer in bytes.
	maxAnswer = 64 << 10
	// maxMessage is the maximum length of a refusal's message, in characters. The rest is
	// cut off.
	maxMessage = 500
	// maxTTL is the maximum time for which an answer is remembered.
	maxTTL = time.Hour
)

// answer is the decision of the back end.
type answer struct {
	allow      bool
	reason     string
	message    string
	attributes dto.Patch
	ttl        time.Duration // 0 if it must not be remembered
	size       int           // size of the answer in bytes
}

// verdict converts the answer for the caller.
func (a answer) verdict() (group.Verdict, error) {
	if a.allow {
		return group.Verdict{Attributes: a.attributes}, nil
	}
	e := fault.ErrRefused.WithReason(a.reason)
	if a.message != "" {
		e = e.WithMessage(a.message)
	}
	return group.Verdict{}, e
}

// silent reports whether a status means that the back end did not process the question.
func silent(status int) bool { return status >= 500 || status == http.StatusTooManyRequests }

var validReason = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// said is the answer in the back end's JSON.
type said struct {
	Allow      *bool
	Code       string
	Message    string
	Attributes json.RawMessage
	TTL        float64
}

// UnmarshalJSON implements [json.Unmarshaler]. Unlike encoding/json, it distinguishes upper
// and lower case in names, and does not let the last of two fields decide.
func (s *said) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return errNoObject
	}
	members, _ := rawjson.Split(data, len(data))
	known := map[string]any{"allow": &s.Allow, "code": &s.Code, "message": &s.Message, "attributes": &s.Attributes, "ttl": &s.TTL}
	there := make(map[string]bool, len(known))
	for _, member := range members {
		key, value := rawjson.Member(member)
		to, ok := known[key]
		if !ok {
			continue
		}
		if there[key] {
			return fmt.Errorf("%s is there twice", key)
		}
		there[key] = true
		if err := json.Unmarshal(value, to); err != nil {
			return err
		}
	}
	return nil
}

var errNoObject = errors.New("no JSON object")

// read parses an answer. It ignores unknown fields.
func read(event string, from webhook.Answer) (answer, error) {
	var said said
	switch {
	case from.Status < 200 || from.Status > 299:
		return answer{}, fmt.Errorf("it answered %d %s", from.Status, http.StatusText(from.Status))
	case from.Cut:
		return answer{}, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	case !utf8.Valid(from.Body):
		return answer{}, errors.New("its answer is not UTF-8")
	case json.Unmarshal(from.Body, &said) != nil:
		return answer{}, errors.New(`its answer is not JSON such as {"allow":true}`)
	}
	a, err := said.answer(event)
	a.size = len(from.Body)
	return a, err
}

// answer checks and converts what the back end says.
func (s said) answer(event string) (answer, error) {
	switch {
	case s.Allow == nil:
		return answer{}, errors.New("its answer has no allow")
	case s.TTL < 0:
		return answer{}, errors.New("the ttl in its answer is negative")
	}
	a := answer{allow: *s.Allow, message: presentable(s.Message), ttl: time.Duration(min(s.TTL, maxTTL.Seconds()) * float64(time.Second))}
	if validReason.MatchString(s.Code) {
		a.reason = s.Code
	}
	if !a.allow || len(s.Attributes) == 0 || rawjson.IsNull(s.Attributes) {
		return a, nil
	}
	var err error
	switch event {
	case group.AskCreate:
		a.attributes, err = dto.GroupAttributes(s.Attributes)
	case group.AskJoin:
		a.attributes, err = dto.MemberAttributes(s.Attributes)
	}
	if err != nil {
		return answer{}, fmt.Errorf("its answer breaks a rule: %s", mistake(err))
	}
	return a, nil
}

// mistake returns the first mistake in err.
func mistake(err error) string {
	if e := fault.From(err); len(e.Fields) > 0 {
		return e.Fields[0].Field + " " + e.Fields[0].Message
	}
	return err.Error()
}

// presentable returns a message for users: at most maxMessage characters, without control
// characters and characters that reorder text.
func presentable(message string) string {
	message = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || names.Reorders(string(r)) {
			return ' '
		}
		return r
	}, message))
	if utf8.RuneCountInString(message) > maxMessage {
		message = string([]rune(message)[:maxMessage-1]) + "…"
	}
	return message
}
