package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// TestTypedClients generates the clients of docs/clients.md from the OpenAPI document of a node,
// compiles them and runs them.
func TestTypedClients(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret)
	document := filepath.Join(t.TempDir(), "openapi.json")
	writeFile(t, document, download(t, n.URL()+"/openapi.json"))
	page := readFile(t, "../../docs/clients.md")
	env := append(os.Environ(), "MOIM="+n.URL(), "TOKEN="+mint("ana", time.Hour))

	t.Run("TypeScript", func(t *testing.T) {
		t.Parallel()
		if err := clientOnce(); err != nil {
			skipOrFail(t, err)
		}
		dir := t.TempDir()
		modules, err := filepath.Abs("node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		command(t, dir, env, "node", "node_modules/openapi-typescript/bin/cli.js", document, "-o", "moim.d.ts")
		writeFile(t, filepath.Join(dir, "package.json"), `{"type":"module"}`)
		writeFile(t, filepath.Join(dir, "client.ts"), fenced(t, page, "ts"))
		writeFile(t, filepath.Join(dir, "run.mjs"), `import { createGroup } from "./client.js";
const group = await createGroup(process.env.MOIM, process.env.TOKEN);
console.log(group.name, group.visibility === "public");`)
		command(t, dir, env, "node", "node_modules/typescript/bin/tsc", "--strict", "--noUncheckedIndexedAccess", "--target", "es2022",
			"--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom", "client.ts", "moim.d.ts")
		if got := command(t, dir, env, "node", "run.mjs"); got != "Sunday hike true\n" {
			t.Errorf("the client printed %q", got)
		}
	})

	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		root, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		generator := filepath.Join(t.TempDir(), "oapi-codegen")
		build := exec.Command("go", "build", "-o", generator, "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen")
		build.Dir = filepath.Join(root, "tools")
		if out, err := build.CombinedOutput(); err != nil {
			t.Log(string(out))
			skipOrFail(t, err)
		}
		dir := t.TempDir()
		// The client needs a library of the generator, in the version of the tools.
		module := readFile(t, filepath.Join(root, "tools", "go.mod"))
		writeFile(t, filepath.Join(dir, "go.mod"), strings.Replace(module, "module github.com/moim-live/moim/tools", "module example.org/client", 1))
		writeFile(t, filepath.Join(dir, "go.sum"), readFile(t, filepath.Join(root, "tools", "go.sum")))
		if err := os.Mkdir(filepath.Join(dir, "moim"), 0o700); err != nil {
			t.Fatal(err)
		}
		command(t, dir, env, generator, "-generate", "types,client", "-package", "moim", "-o", "moim/moim.go", document)
		writeFile(t, filepath.Join(dir, "main.go"), fenced(t, page, "go"))
		command(t, dir, env, "go", "build", "-o", "client", ".") // prints what it downloads
		if got := command(t, dir, env, filepath.Join(dir, "client")); got != "Sunday hike true\n" {
			t.Errorf("the client printed %q", got)
		}
	})
}

// TestDocs checks that /docs works with a keyboard and on a phone, and that calls and events can
// be tried there.
func TestDocs(t *testing.T) {
	t.Parallel()
	browser := findBrowser(t)
	if err := clientOnce(); err != nil {
		skipOrFail(t, err)
	}
	n := startNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*inBrowserWithin)
	defer cancel()
	page := exec.CommandContext(ctx, "node", "docs.mjs", browser, n.URL()+"/docs")
	childtest.DieWithParent(page)
	if out, err := page.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// command runs a program and returns its output.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	childtest.DieWithParent(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fenced returns the code block in a language from a page.
func fenced(t *testing.T, page, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n```"+language+"\n")
	code, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("the page has no block in %s", language)
	}
	return code + "\n"
}

func download(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d, %v", url, res.StatusCode, err)
	}
	return string(body)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
