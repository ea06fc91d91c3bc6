package sqlstore

import (
	"context"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
)

// Audit implements [group.AuditTx].
func (t *tx) Audit(ctx context.Context, e audit.Entry) error { return sqlaudit.Insert(ctx, t.q, e) }
