package authorize

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Func is a function of the program that answers questions. If it returns an error or
// panics, Moim refuses, unless authorize.open is set. ctx ends after [Timeout]; the
// function must then return soon. It is called concurrently.
type Func func(ctx context.Context, q Question) (Verdict, error)

// Verdict is the answer of a [Func].
type Verdict struct {
	Allow   bool
	Code    string // code of a refusal, for programs: lower-case letters, digits and _
	Message string // message of a refusal, for people
	// Attributes are merged into those of a new group, or become those of a new member.
	Attributes map[string]any
	// TTL is how long the answer is valid, at most an hour; 0 means for this question only.
	TTL time.Duration
}

// ask implements asker.
func (f Func) ask(ctx context.Context, q Question, _ []byte) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the function panicked: %v", p)
		}
	}()
	v, err := f(ctx, q)
	if err != nil {
		return answer{}, err
	}
	said := said{Allow: &v.Allow, Code: v.Code, Message: v.Message, TTL: v.TTL.Seconds()}
	if v.Attributes != nil {
		if said.Attributes, err = json.Marshal(v.Attributes); err != nil {
			return answer{}, fmt.Errorf("encode the attributes: %w", err)
		}
	}
	a, err = said.answer(q.Event)
	a.size = len(said.Attributes)
	return a, err
}
