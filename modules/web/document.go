package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/internal/schemas"
	"github.com/moim-live/moim/modules/fault"
)

// codesExtension is the field that lists the codes of an answer for programs.
const codesExtension = "x-codes"

// Refusal describes an answer that is a [Problem] with one of the codes. The document's
// schema of Problem lists the codes of all operations.
func Refusal(codes ...string) *huma.Response {
	var headers map[string]*huma.Param
	if slices.Contains(codes, fault.ErrRateLimited.Code) || slices.Contains(codes, fault.ErrUnavailable.Code) {
		headers = map[string]*huma.Header{"Retry-After": {
			Description: "when to try again, in seconds", Schema: &huma.Schema{Type: huma.TypeInteger},
		}}
	}
	return &huma.Response{
		Headers:     headers,
		Description: "code: " + strings.Join(codes, ", "),
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: &huma.Schema{Ref: schemas.Prefix + "Problem"}},
		},
		Extensions: map[string]any{codesExtension: codes},
	}
}

// Operation describes a call. path comes after [Prefix]. problems are the possible errors,
// such as "404 not_found", with further codes after commas. Operation adds those of every
// call.
func Operation(tag, method, path, id, summary string, status int, problems ...string) huma.Operation {
	// A token's scope may exclude any call.
	problems = append(problems, "400 bad_request", "401 unauthenticated", "403 forbidden", "429 rate_limited", "500 internal", "503 unavailable")
	if method != http.MethodGet {
		problems = append(problems, "413 payload_too_large", "422 validation_failed")
	}
	codes := make(map[string][]string)
	for _, problem := range problems {
		status, list, _ := strings.Cut(problem, " ")
		codes[status] = append(codes[status], strings.Split(list, ", ")...)
	}
	responses := make(map[string]*huma.Response)
	for status, list := range codes {
		slices.Sort(list)
		responses[status] = Refusal(slices.Compact(list)...)
	}
	return huma.Operation{
		OperationID:      id,
		Method:           method,
		Path:             Prefix + path,
		Summary:          summary,
		Tags:             []string{tag},
		DefaultStatus:    status,
		SkipValidateBody: true,
		Responses:        responses,
	}
}

// otherCodes are codes that no operation describes: the answers to requests that match no
// operation.
var otherCodes = []string{fault.ErrInternal.Code, fault.ErrNotFound.Code, methodNotAllowed}

// describe completes the document after the registration of an operation.
func (a *API) describe(op huma.Operation) {
	registry := a.huma.OpenAPI().Components.Schemas
	schemas.Refine(registry)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spec = nil
	for _, code := range otherCodes {
		a.codes[code] = true
	}
	for _, response := range op.Responses {
		codes, _ := response.Extensions[codesExtension].([]string)
		for _, code := range codes {
			a.codes[code] = true
		}
	}
	problem := registry.SchemaFromRef(registry.Schema(problemType, true, "").Ref)
	enum := problem.Properties["code"].Enum[:0]
	for _, code := range slices.Sorted(maps.Keys(a.codes)) {
		enum = append(enum, code)
	}
	problem.Properties["code"].Enum = enum
}

// open allows additional fields in answers.
func (a *API) open() {
	var requests, answers []*huma.Schema
	for _, item := range a.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			if op.RequestBody != nil {
				requests = append(requests, schemasOf(op.RequestBody.Content)...)
			}
			for _, response := range op.Responses {
				answers = append(answers, schemasOf(response.Content)...)
			}
		}
	}
	schemas.Open(a.huma.OpenAPI().Components.Schemas, requests, answers)
}

func schemasOf(content map[string]*huma.MediaType) (found []*huma.Schema) {
	for _, media := range content {
		found = append(found, media.Schema)
	}
	return found
}

// Codes returns the codes of all problems that the operations describe, sorted.
func (a *API) Codes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.codes))
}

// document returns the encoded OpenAPI document. It encodes the document once after each
// registration.
func (a *API) document() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spec != nil {
		return a.spec, nil
	}
	// huma adds its own error types with every operation. Remove them, because Problem
	// replaces them.
	types := a.huma.OpenAPI().Components.Schemas.Map()
	delete(types, "ErrorModel")
	delete(types, "ErrorDetail")
	a.open()
	spec, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	a.spec = spec
	return spec, nil
}
