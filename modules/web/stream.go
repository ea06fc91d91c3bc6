package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	streamBuffer = 32 << 10
	// streamPatience is the time that a client has to receive one buffer of a stream.
	streamPatience = time.Minute
)

// Schema returns the schema of a type for an operation that writes its own body.
func (a *API) Schema(v any) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

// Stream returns a response that the client saves as a file. write writes it. The response
// may take long, as long as the client keeps reading. If write fails, the connection is
// closed, so that the client notices that the file is incomplete.
func (a *API) Stream(contentType, fileName string, write func(ctx context.Context, w *bufio.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", contentType)
		hc.SetHeader("Content-Disposition", `attachment; filename="`+fileName+`"`)
		hc.SetStatus(http.StatusOK)
		out := bufio.NewWriterSize(patient{hc.BodyWriter()}, streamBuffer)
		err := write(hc.Context(), out)
		if err == nil {
			err = out.Flush()
		}
		if err == nil {
			return
		}
		if !errors.Is(err, context.Canceled) && !errors.Is(err, errReplyTooLong) {
			a.log.Warn("web: a stream broke off", "route", hc.Operation().Path, "err", err)
		}
		panic(http.ErrAbortHandler)
	}}
}

// patient gives each write its own deadline, instead of one for the whole response.
type patient struct{ io.Writer }

func (p patient) Write(data []byte) (int, error) {
	if w, is := p.Writer.(http.ResponseWriter); is {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(streamPatience)) // a test's recorder has none
	}
	return p.Writer.Write(data)
}
