package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/web"
)

type auditInput struct {
	Actor  string    `query:"actor" doc:"entries of this back end: sub of its token"`
	Target string    `query:"target" doc:"entries about this group or user"`
	Since  time.Time `query:"since" doc:"entries of this instant or later, as 2026-03-01T12:00:00Z"`
	web.Paging
}

func (c *Controller) registerAudit() {
	op := operation(http.MethodGet, "/audit", "list-audit-entries",
		"List what back ends changed, newest first; for back ends only", http.StatusOK,
		"403 forbidden", "422 validation_failed")
	op.Tags = []string{"audit"}
	register(c, op, c.auditLog)
}

func (c *Controller) auditLog(ctx context.Context, in *auditInput) (*Answer[web.Page[audit.Entry]], error) {
	kind := strings.Join([]string{"audit", in.Actor, in.Target, in.Since.UTC().Format(time.RFC3339Nano)}, "\x00")
	return list(c, kind, in.Paging, func(e audit.Entry) string { return e.ID },
		func(before string, limit int) ([]audit.Entry, error) {
			return c.service.Audit(ctx, web.Caller(ctx), audit.Filter{Actor: in.Actor, Target: in.Target, Since: in.Since}, before, limit)
		})
}
