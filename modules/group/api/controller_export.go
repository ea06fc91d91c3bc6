package api

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
	"github.com/moim-live/moim/modules/web"
)

// Export is the document with all that is kept about a user.
type Export struct {
	UserID     string                 `json:"userId"`
	ExportedAt time.Time              `json:"exportedAt"`
	Groups     []transfer.Trace       `json:"groups" doc:"what each group keeps about the user: those that they are in, asked to join, are invited to, banned from or muted in"`
	Messages   []transfer.UserMessage `json:"messages" doc:"the messages that they wrote, of each group the oldest first"`
}

func (c *Controller) registerExport() {
	op := operation(http.MethodGet, "/users/{userId}/export", "export-user",
		"Export all that is kept about a user, as one JSON document; for back ends only", http.StatusOK,
		"403 forbidden", "422 validation_failed")
	op.Tags = []string{"users"}
	op.Responses["200"] = &huma.Response{
		Description: "a body that breaks off is no JSON: ask again",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: c.api.Schema(Export{})}},
	}
	register(c, op, c.export)
}

func (c *Controller) export(ctx context.Context, in *userInput) (*huma.StreamResponse, error) {
	if err := group.MayExport(web.Caller(ctx), in.UserID); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	// The file name does not contain the user's id, because an id may have any characters.
	return c.api.Stream("application/json", now.Format("user-20060102-150405.json"), func(ctx context.Context, w *bufio.Writer) error {
		return c.writeExport(ctx, w, in.UserID, now)
	}), nil
}

// writeExport writes an [Export] without holding all of it in memory.
func (c *Controller) writeExport(ctx context.Context, w *bufio.Writer, userID string, now time.Time) error {
	id, err := rawjson.Marshal(userID)
	if err != nil {
		return err
	}
	at, err := now.MarshalJSON()
	if err != nil {
		return err
	}
	list := listWriter{w: w}
	list.begin(fmt.Sprintf(`{"userId":%s,"exportedAt":%s,"groups":[`, id, at))
	messages := false
	err = transfer.ExportUser(ctx, c.traces, userID,
		func(t transfer.Trace) error { return list.add(t) },
		func(m transfer.UserMessage) error {
			if !messages {
				messages = true
				list.begin(`],"messages":[`)
			}
			return list.add(m)
		})
	if err != nil {
		return err
	}
	if !messages {
		list.begin(`],"messages":[`)
	}
	list.begin("]}\n")
	return nil
}

// listWriter writes the items of JSON lists.
type listWriter struct {
	w    *bufio.Writer // keeps its first error, which Flush returns
	some bool          // the list has items
}

// begin writes the text before a list.
func (l *listWriter) begin(text string) {
	_, _ = l.w.WriteString(text)
	l.some = false
}

func (l *listWriter) add(item any) error {
	data, err := rawjson.Marshal(item)
	if err != nil {
		return err
	}
	if l.some {
		_ = l.w.WriteByte(',')
	}
	l.some = true
	_, err = l.w.Write(data)
	return err
}
