package authorize

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Func is a function of the program that answers questions. If it returns an error or
// panics, Moim refuses, or does what authorize.open says. It must return soon after ctx has
// ended, which it does after [Timeout]. It runs for many users at once.
type Func func(ctx context.Context, q Question) (Verdict, error)

// Verdict is the answer of a [Func].
type Verdict struct {
	Allow   bool
	Code    string // of a refusal, for programs: lower-case letters, digits and _
	Message string // of a refusal, for people
	// Attributes are merged into those of a new group, and become those of a new member.
	Attributes map[string]any
	// TTL is for how long the answer holds, at most an hour; 0: for this question alone.
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
