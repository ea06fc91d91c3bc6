package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// around is the code around a block of Go in a page: what a program has before it, and after
// it. Each block is the body of a function, unless it is a program.
type around struct{ parameters, before, after string }

// guides holds the pages whose Go is compiled. Each has an entry for each of its blocks.
var guides = map[string][]around{
	"authorize.md": {
		{
			parameters: "secret string, has func(context.Context, string) (bool, error)",
			after:      "_, _ = handler, err\nreturn nil",
		},
		{before: "_ =", after: "return nil"},
	},
	"client-go.md": {
		{parameters: "ctx context.Context", after: "return nil"},
		{parameters: "ctx context.Context, moim *client.Client, g client.Group, secret string", after: "return err"},
	},
	"embedding.md": {{}},
	"gateway.md": {
		{after: "_ = gateway\nreturn err"},
		{before: "_ =", after: "return nil"},
	},
	"node.md": {
		{parameters: "ctx context.Context, out *socket.Emitter", after: "return err"},
		{
			parameters: "log *slog.Logger, hub *adapter.Hub, out *socket.Emitter, who socket.Authenticator, handlers []socket.Handler",
			after:      "_ = gateway\nreturn err",
		},
	},
	"webhooks.md": {
		{parameters: "secret string", after: "return nil"},
		{
			parameters: "cfg config.Config, store func(context.Context, []group.Event) error",
			after:      "_ = rt\nreturn err",
		},
		{
			parameters: "storePresence func(context.Context, []hook.PresenceChange) error",
			before:     "_ =", after: "return nil",
		},
	},
}

// TestEveryGuideCompiles checks the types in the Go of the documentation.
func TestEveryGuideCompiles(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	var functions strings.Builder
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page := filepath.Base(path)
		if page == "clients.md" { // TestTypedClients runs it, with the client that it generates
			continue
		}
		blocks := block.FindAllStringSubmatch(string(text), -1)
		if len(blocks) != len(guides[page]) {
			t.Fatalf("%s has %d blocks of Go, and guides %d", page, len(blocks), len(guides[page]))
		}
		for i, a := range guides[page] {
			code := blocks[i][1]
			if strings.HasPrefix(code, "package main\n") {
				vet(t, page, code)
				continue
			}
			fmt.Fprintf(&functions, "//line %s:%d\nfunc _(%s) error {\n%s %s%s\n}\n\n", page, i+1, a.parameters, a.before, code, a.after)
		}
	}
	vet(t, "the blocks", programOf(functions.String()))
}

// programOf returns a program with functions, and the imports that they use.
func programOf(functions string) string {
	var program strings.Builder
	program.WriteString("package main\n\n")
	for _, path := range []string{
		"context", "fmt", "log", "log/slog", "net/http", "os", "time",
		"github.com/moim-live/moim/app", "github.com/moim-live/moim/client", "github.com/moim-live/moim/config",
		"github.com/moim-live/moim/modules/authorize", "github.com/moim-live/moim/modules/fault",
		"github.com/moim-live/moim/modules/group", "github.com/moim-live/moim/modules/hook",
		"github.com/moim-live/moim/modules/redisrole", "github.com/moim-live/moim/modules/socket",
		"github.com/moim-live/moim/modules/socket/adapter",
		"github.com/moim-live/moim/modules/socket/adapter/nodebridge",
	} {
		fmt.Fprintf(&program, "import %q\n", path)
	}
	return program.String() + "\nfunc main() {}\n\n" + functions
}

// vet fails the test if a program does not compile.
func vet(t *testing.T, name, program string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}
