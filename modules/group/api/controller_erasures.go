package api

import (
	"context"
	"net/http"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/web"
)

func (c *Controller) registerErasures() {
	op := operation(http.MethodDelete, "/users/{userId}", "erase-user",
		"Erase a user: end their memberships, and remove their id, name and text, in the background; for back ends only",
		http.StatusAccepted, "403 forbidden")
	op.Tags = []string{"users"}
	register(c, op, c.erase)
	op = operation(http.MethodGet, "/erasures/{jobId}", "get-erasure",
		"Say how far the erasing of a user is; for back ends only", http.StatusOK, "403 forbidden", hidden)
	op.Tags = []string{"users"}
	register(c, op, c.erasure)
}

// erase needs no idempotency key, because a repeat returns the same job.
func (c *Controller) erase(ctx context.Context, in *userInput) (*Answer[Job], error) {
	job, err := c.service.EraseUser(ctx, web.Caller(ctx), in.UserID)
	// The job revokes tokens, too, but it may begin later, and until then the user could
	// still act.
	if err == nil && job.Stage == group.EraseMemberships {
		err = c.tokens.Revoke(ctx, in.UserID, job.StartedAt)
	}
	return answer(Job{JobID: job.ID}, err)
}

type erasureInput struct {
	JobID string `path:"jobId" doc:"id of the job"`
}

// Erasure is the progress of erasing a user. It does not contain the user's id.
type Erasure struct {
	JobID      string     `json:"jobId"`
	Status     string     `json:"status" enum:"running,done"`
	StartedAt  time.Time  `json:"startedAt"`
	FinishedAt *time.Time `json:"finishedAt,omitempty" doc:"absent while the job is running"`
	group.Erased
}

func (c *Controller) erasure(ctx context.Context, in *erasureInput) (*Answer[Erasure], error) {
	job, err := c.service.Erasure(ctx, web.Caller(ctx), in.JobID)
	e := Erasure{JobID: job.ID, Status: "running", StartedAt: job.StartedAt, FinishedAt: job.FinishedAt, Erased: job.Erased}
	if e.FinishedAt != nil {
		e.Status = "done"
	}
	return answer(e, err)
}
