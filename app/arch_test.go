package app_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/moim-live/moim"

// layers gives the layer of each package. A package imports only packages of lower layers, never
// of its own. A package that is not listed is on the layer of its parent.
var layers = map[string]int{
	"examples":                            9, // users of the library
	"":                                    8, // main
	"app":                                 7,
	"config":                              6,
	"modules/redismove":                   6,
	"modules/group/internal/servicetest":  6,
	"modules/cache/rediscache":            5,
	"modules/group/redispresence":         5,
	"modules/group/sqlstore":              5,
	"modules/auth/sqltokens":              5,
	"modules/hook/sqlhooks":               5,
	"modules/socket/adapter/nodebridge":   5,
	"modules/limit/redislimit":            5,
	"modules/socket/adapter/redisadapter": 5,
	"modules/cache/cachetest":             5,
	"modules/database/databasetest":       5,
	"modules/group/grouptest":             5,
	"modules/group/presencetest":          5,
	"modules/socket/adapter/adaptertest":  5,
	"modules/group/api":                   4,
	"modules/authorize":                   4,
	"modules/console":                     4,
	"modules/hook":                        4,
	"modules/asyncapi":                    3,
	"modules/group/feed":                  3,
	"modules/group/presence":              3,
	"modules/group/recordcache":           3,
	"modules/group/transfer":              3,
	"modules/group/upkeep":                3,
	"modules/audit/sqlaudit":              2,
	"modules/group":                       2,
	"modules/socket":                      2,
	"modules/web":                         2,
	"modules/auth":                        1,
	"modules/group/dto":                   1,
	"modules/cache":                       1,
	"modules/database":                    1,
	"modules/limit":                       1,
	"modules/socket/adapter":              1,
	"modules/socket/recovery":             1,
	"client":                              2, // for programs that call a server
	"modules/audit":                       0,
	"modules/fault":                       0,
	"modules/redisrole":                   0,
	"modules/socket/engine":               0,
	"modules/socket/nodes":                0,
	"modules/socket/packet":               0,
	"migrations":                          0,
	"internal":                            0,
	"modules/socket/packet/rawjson":       -1, // JSON that is not decoded
	"internal/childtest":                  -1, // shared by the test servers
	"internal/waittest":                   -1, // waiting in tests
	"internal/tasks":                      -1, // goroutines
	"internal/tracing":                    -1, // spans
	"internal/bounds":                     -1, // checks of configuration
	"internal/names":                      -1, // readable names and ids
	"internal/toggle":                     -1, // configuration values
	"internal/origins":                    -1, // browser origins
	"internal/proxies":                    -1, // addresses of clients behind proxies
}

// libraries lists the only places that may import a library: a package, or a file of it.
var libraries = map[string][]string{
	"go.uber.org/fx":           {"module.go", "app/"},
	"github.com/olahol/melody": {"modules/socket/engine/websocket.go"},
	"github.com/gin-gonic/gin": {"modules/web/", "modules/console/", "app/", "controller.go"},
	"github.com/redis/go-redis/v9": {
		"modules/redisrole/", "modules/cache/rediscache/", "modules/group/redispresence/", "modules/limit/redislimit/",
		"modules/socket/adapter/redisadapter/", "modules/socket/adapter/nodebridge/", "app/", "internal/",
	},
	"github.com/danielgtaylor/huma/v2": {"internal/schemas/", "modules/asyncapi/", "modules/web/", "modules/group/api/controller", "modules/hook/controller.go"},
	"go.opentelemetry.io/otel":         {"internal/tracing/", "app/"},              // the SDK only in app
	"unsafe":                           {"modules/socket/engine/rawcall_linux.go"}, // go:linkname needs it
}

// TestImportsPointDown checks the imports of every file that is not a test.
func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "node_modules" || rel == "bench" || rel == "tools" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, "_test.go") {
			checkFile(t, file, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, file, rel string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	pkg := strings.TrimPrefix(path.Dir(rel), ".")
	from, known := layer(pkg)
	if !known {
		t.Errorf("%s: package %q has no layer; give it one above", rel, pkg)
		return
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		checkLibrary(t, rel, imported)
		if imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") {
			continue
		}
		target := strings.TrimPrefix(strings.TrimPrefix(imported, modulePath), "/")
		if to, _ := layer(target); to >= from {
			t.Errorf("%s (layer %d) imports %s (layer %d): imports point down", rel, from, target, to)
		}
	}
}

func layer(pkg string) (int, bool) {
	for dir := pkg; ; dir = path.Dir(dir) {
		if n, ok := layers[dir]; ok {
			return n, true
		}
		if dir == "." || dir == "" || dir == "/" {
			return 0, false
		}
	}
}

func checkLibrary(t *testing.T, rel, imported string) {
	t.Helper()
	if strings.HasPrefix(rel, "examples/") {
		return
	}
	for library, places := range libraries {
		if imported != library && !strings.HasPrefix(imported, library+"/") {
			continue
		}
		allowed := false
		for _, place := range places {
			allowed = allowed || strings.HasPrefix(rel, place) || path.Base(rel) == place
		}
		if !allowed {
			t.Errorf("%s imports %s, which belongs in %s", rel, library, strings.Join(places, ", "))
		}
	}
}
