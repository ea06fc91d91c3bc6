package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// apiDocument is a node's description of its calls.
type apiDocument struct {
	Paths map[string]map[string]struct {
		Responses map[string]struct{ Description string }
	}
}

func readDocument(t *testing.T, url string) *apiDocument {
	t.Helper()
	body, err := io.ReadAll(get(t, url+"/openapi.json", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	d := &apiDocument{}
	if err := json.Unmarshal(body, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// describes reports whether the document lists this answer for a call.
func (d *apiDocument) describes(method, route string, a answered) bool {
	response, ok := d.Paths["/v1"+route][strings.ToLower(method)].Responses[fmt.Sprint(a.status)]
	return ok && (a.status < 300 || slices.Contains(strings.Split(strings.TrimPrefix(response.Description, "code: "), ", "), a.result))
}

var handled = regexp.MustCompile(`socket\.On\("([^"]+)"`)

// needRows checks that the rows contain every call of the document and every event of the group
// module, and no others.
func (d *apiDocument) needRows(t *testing.T, rows []docRow) {
	t.Helper()
	there := make(map[string]bool)
	for path, methods := range d.Paths {
		for method := range methods {
			there["`"+strings.ToUpper(method)+" "+strings.TrimPrefix(path, "/v1")+"`"] = true
		}
	}
	files, err := filepath.Glob("../modules/group/api/gateway*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range handled.FindAllSubmatch(source, -1) {
			if !strings.HasSuffix(file, "_test.go") {
				there["`"+string(event[1])+"`"] = true
			}
		}
	}
	listed := make(map[string]bool)
	for _, r := range rows {
		for _, name := range []string{r.call, r.event} {
			if listed["`"+name+"`"] = true; name != "" && !there["`"+name+"`"] {
				t.Errorf("docs/permissions.md has a row for `%s`, which does not exist:\n%s", name, r.line)
			}
		}
	}
	for name := range there {
		if !listed[name] {
			t.Errorf("docs/permissions.md has no row for %s", name)
		}
	}
}
