package console

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/moim-live/moim/modules/audit"
)

// auditPage is the data of the view Audit.
type auditPage struct {
	Actor, Target, Since string
	Entries              table[auditEntry]
}

// auditEntry is an entry with its records as lines of text.
type auditEntry struct {
	audit.Entry
	Before, After string
}

// audit lists the entries of the audit log.
func (c *Console) audit(ctx context.Context, v visit) (any, error) {
	page := auditPage{Actor: v.query("actor"), Target: v.query("target"), Since: v.query("since")}
	filter := audit.Filter{Actor: page.Actor, Target: page.Target}
	var err error
	if filter.Since, err = instant("since", page.Since); err != nil {
		return nil, err
	}
	page.Entries, err = list(v, func(e auditEntry) string { return e.ID }, func(after string, limit int) ([]auditEntry, error) {
		entries, err := c.deps.Groups.Audit(ctx, v.caller, filter, after, limit)
		shown := make([]auditEntry, 0, len(entries))
		for _, e := range entries {
			shown = append(shown, auditEntry{Entry: e, Before: indented(e.Before), After: indented(e.After)})
		}
		return shown, err
	})
	return page, err
}

// instant parses a time from a browser's field, in UTC, or in RFC 3339.
func instant(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, mistake(field, "must be a time, as 2026-03-01T12:00")
}

// indented formats JSON for people. It returns "" for an empty object.
func indented(raw json.RawMessage) string {
	var out bytes.Buffer
	if string(raw) == "{}" || json.Indent(&out, raw, "", "  ") != nil {
		return ""
	}
	return out.String()
}
