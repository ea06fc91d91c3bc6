package dto

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/fault"
)

// checker returns a function that decodes a request and validates it.
func checker[T any](validate func(T) error) func(t *testing.T, body string) error {
	return func(t *testing.T, body string) error {
		t.Helper()
		var r T
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		return validate(r)
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var (
		create = checker(func(r CreateRequest) error { _, err := r.Validate(100, noon); return err })
		update = checker(func(r UpdateRequest) error { _, err := r.Validate(100, noon); return err })
		add    = checker(func(r AddMembersRequest) error { _, err := r.Validate(); return err })
		member = checker(func(r UpdateMemberRequest) error { _, err := r.Validate(); return err })
		post   = checker(func(r MessageRequest) error { _, err := r.Validate(); return err })
		send   = checker(func(r SignalRequest) error { _, err := r.Validate(); return err })
	)
	wide := func(n int) string { return strings.Repeat("é", n) }
	fill := func(n int) string { return strings.Repeat("x", n) }
	ids := func(n int) string { return `["u"` + strings.Repeat(`,"u"`, n-1) + `]` }
	for name, c := range map[string]struct {
		Check func(*testing.T, string) error
		body  string
		want  string // the invalid fields, in the order of the report
	}{
		"smallest":               {create, `{"name":"x"}`, ""},
		"largest":                {create, `{"name":"` + wide(200) + `","description":"` + wide(4000) + `","visibility":"public","joinPolicy":"open","capacity":100,"attributes":{"a": "` + fill(16<<10-8) + `"}}`, ""},
		"nulls mean defaults":    {create, `{"name":"x","description":null,"visibility":null,"capacity":null,"attributes":null}`, ""},
		"lines in description":   {create, `{"name":"x","description":"a\nb\tc"}`, ""},
		"no name":                {create, `{}`, "name"},
		"a name of spaces":       {create, `{"name":" \u00a0"}`, "name"},
		"a name of fillers":      {update, `{"name":"\u3164\u200b\u2800"}`, "name"},
		"a name that reorders":   {create, `{"name":"\u202egpj"}`, "name"},
		"composed when stored":   {create, `{"name":"` + strings.Repeat("\u1112\u1161\u11ab", 200) + `","description":"` + strings.Repeat("\u1112\u1161\u11ab", 4000) + `"}`, ""},
		"too long composed":      {create, `{"name":"` + strings.Repeat("\u1112\u1161\u11ab", 201) + `"}`, "name"},
		"an invisible user":      {add, `{"userIds":["\u3164","a","b\u202e",".."]}`, "userIds[0],userIds[2],userIds[3]"},
		"null body":              {create, `null`, "name"},
		"not an object":          {create, `[1]`, "body,name"},
		"everything wrong":       {create, `{"name":7,"description":[],"visibility":"secret","joinPolicy":1,"capacity":"x","attributes":[],"extra":1,"endsAt":"soon"}`, "name,description,joinPolicy,capacity,endsAt,extra,visibility,attributes"},
		"deep data":              {post, `{"data":{"a\\\"[":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}}`, ""},
		"data too deep":          {post, `{"data":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`, "data"},
		"attributes too deep":    {create, `{"name":"x","attributes":{"a":` + strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64) + `}}`, "attributes"},
		"an end":                 {create, `{"name":"x","endsAt":"2026-11-23T12:00:01Z","remindBefore":[1,2592000]}`, ""},
		"an end that has passed": {create, `{"name":"x","endsAt":"2026-11-23T12:00:00Z"}`, "endsAt"},
		"an end too far away":    {update, `{"endsAt":"2226-11-23T12:00:00Z"}`, "endsAt"},
		"no end":                 {update, `{"endsAt":null,"remindBefore":null}`, ""},
		"reminders of nothing":   {create, `{"name":"x","remindBefore":[60]}`, "remindBefore"},
		"too many reminders":     {update, `{"remindBefore":[1,2,3,4,5,6,7,8,9,10,11]}`, "remindBefore"},
		"a reminder too late":    {update, `{"remindBefore":[0]}`, "remindBefore"},
		"name too long":          {create, `{"name":"` + wide(201) + `"}`, "name"},
		"name with a line":       {create, `{"name":"a\nb"}`, "name"},
		"name with NUL":          {create, `{"name":"a\u0000b"}`, "name"},
		"description with NUL":   {create, `{"name":"x","description":"\u0000"}`, "description"},
		"case matters":           {create, `{"Name":"x"}`, "Name,name"},
		"capacity 0":             {create, `{"name":"x","capacity":0}`, "capacity"},
		"capacity over limit":    {create, `{"name":"x","capacity":101}`, "capacity"},
		"half a seat":            {create, `{"name":"x","capacity":1.5}`, "capacity"},
		"attributes too large":   {create, `{"name":"x","attributes":{"a":"` + fill(16<<10-7) + `"}}`, "attributes"},
		"empty patch":            {update, `{}`, ""},
		"emptying patch":         {update, `{"description":null,"capacity":null,"attributes":null}`, ""},
		"what cannot be removed": {update, `{"name":null,"visibility":null,"joinPolicy":null,"posting":null}`, "name,visibility,joinPolicy,posting"},
		"read-only fields":       {update, `{"id":"x","version":3,"ownerId":"y"}`, "id,ownerId,version"},
		"patch out of bounds":    {update, `{"name":"","description":1,"visibility":"x","joinPolicy":"x","posting":"x","capacity":0,"attributes":1}`, "description,name,visibility,joinPolicy,posting,capacity,attributes"},
		"500 users":              {add, `{"userIds":` + ids(500) + `}`, ""},
		"501 users":              {add, `{"userIds":` + ids(501) + `}`, "userIds"},
		"no users":               {add, `{"userIds":[]}`, "userIds"},
		"bad users":              {add, `{"userIds":["ok","","` + fill(129) + `","a\u0000"]}`, "userIds[1],userIds[2],userIds[3]"},
		"users of another kind":  {add, `{"userIds":"bob"}`, "userIds"},
		"role admin":             {member, `{"role":"admin","attributes":{"a":1}}`, ""},
		"role owner":             {member, `{"role":"owner"}`, "role"},
		"role null":              {member, `{"role":null}`, "role"},
		"member attributes":      {member, `{"attributes":"x"}`, "attributes"},
		"message":                {post, `{"data":null}`, ""},
		"message of 32 KiB":      {post, `{"type":"x", "data": "` + fill(32<<10-2) + `"}`, ""},
		"message too large":      {post, `{"data":"` + fill(32<<10-1) + `"}`, "data"},
		"message without data":   {post, `{"type":"x"}`, "data"},
		"message type":           {post, `{"type":"` + wide(65) + `","data":1}`, "type"},
		"signal":                 {send, `{"type":"typing"}`, ""},
		"signal without type":    {send, `{"data":1,"to":["a"]}`, "type"},
		"signal to too many":     {send, `{"type":"x","to":` + ids(101) + `}`, "to"},
		"broken UTF-8":           {post, "{\"data\":\"\xff\"}", "body,data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(fieldsOf(t, c.Check(t, c.body)), ","); got != c.want {
				t.Errorf("invalid fields: %q, want %q", got, c.want)
			}
		})
	}
}

// fieldsOf returns the fields of a validation error.
func fieldsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Code != "validation_failed" {
		t.Fatalf("not a validation failure: %v", err)
	}
	var fields []string
	for _, f := range e.Fields {
		fields = append(fields, f.Field)
	}
	return fields
}

func TestGroupIDs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"0190f5fe-7c00-7a00-8abc-012345678901":          true,
		"0190F5FE-7C00-7A00-8ABC-012345678901":          false,
		"{0190f5fe-7c00-7a00-8abc-012345678901}":        false,
		"urn:uuid:0190f5fe-7c00-7a00-8abc-012345678901": false,
		"0190f5fe7c007a008abc012345678901":              false,
		"":                                              false,
		"groups":                                        false,
	} {
		if ValidGroupID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}
