package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

const (
	// batchTime is how long a batch begins new calls. A single call takes at most 5 s.
	batchTime = 30 * time.Second
	// batchBytes limits the size of all answers of a batch.
	batchBytes = 8 << 20
)

type batchInput struct {
	Once
	Sent[dto.BatchRequest]
}

// BatchAnswers is the answer to a batch.
type BatchAnswers struct {
	Answers []web.Reply `json:"answers" doc:"an answer for each call, in the same order"`
}

func (c *Controller) registerBatch() {
	op := operation(http.MethodPost, "/batch", "batch",
		"Make up to 100 calls, one after the other, each with its own answer; for back ends only", http.StatusOK, "403 forbidden")
	op.Tags = []string{"batch"}
	register(c, op, c.batch)
}

// batch makes the calls, even if earlier ones fail. A call that it does not make is
// answered with unavailable.
func (c *Controller) batch(ctx context.Context, in *batchInput) (*Answer[BatchAnswers], error) {
	if web.Inside(ctx) {
		return nil, fault.ErrBadRequest.WithMessage("a call of a batch cannot be a batch")
	}
	if !web.Caller(ctx).Admin {
		return nil, fault.ErrForbidden.WithMessage("only back ends may send a batch")
	}
	req, err := in.Body.Validate()
	if err != nil {
		return nil, err
	}
	began, left := time.Now(), batchBytes
	answers := make([]web.Reply, 0, len(req.Calls))
	for i, call := range req.Calls {
		if time.Since(began) > batchTime || left <= 0 || ctx.Err() != nil {
			answers = append(answers, c.api.Refuse(ctx, fault.ErrUnavailable.WithMessage("the batch was too long: this call was not made, send it again")))
			continue
		}
		reply := c.api.Do(ctx, web.Call{Method: call.Method, Path: call.Path, Body: call.Body, Key: in.keyOf(i, call)}, left)
		left -= len(reply.Body)
		answers = append(answers, reply)
	}
	return answer(BatchAnswers{Answers: answers}, nil)
}

// keyOf returns the idempotency key of a call. The key of the batch makes one for each POST
// without a key, so repeating the batch is harmless.
func (in *batchInput) keyOf(i int, call dto.BatchCall) string {
	if call.Key != "" || in.Key == "" || call.Method != http.MethodPost {
		return call.Key
	}
	place := "/" + strconv.Itoa(i)
	if key := in.Key + place; dto.CheckKey(key) == "" {
		return key
	}
	sum := sha256.Sum256([]byte(in.Key)) // the result would be too long otherwise
	return hex.EncodeToString(sum[:]) + place
}
