package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	yamlv3 "go.yaml.in/yaml/v3"
)

// DefaultFile is read from the working directory if no file is given.
const DefaultFile = "moim.yaml"

// envFile is the environment variable with the path of the file.
const envFile = envPrefix + "CONFIG"

// Options are the sources that [Load] reads.
type Options struct {
	File    string            // must exist; if empty, MOIM_CONFIG or, if it exists, moim.yaml
	Dir     string            // directory of moim.yaml; the working directory if empty
	Environ []string          // as os.Environ returns it
	Flags   map[string]string // values of the given flags by key, such as redis.socket.url
}

// Load reads the configuration: defaults, then the file, then the environment, then flags.
// Its error has one line for each mistake, with its source, and never quotes a value.
func Load(opts Options) (Config, error) {
	l := &loader{config: Config{sources: map[string]string{}}, merged: koanf.New(separator)}
	l.file(opts)
	l.environ(opts.Environ)
	l.flags(opts.Flags)
	l.apply()
	c := l.config.WithDefaults()
	if err := c.Validate(); err != nil {
		l.errs = append(l.errs, err)
	}
	return c, errors.Join(l.errs...)
}

// separator does not occur in keys. A dot would not work, because socket.bridge has a value
// although the key socket.bridge.key begins with it.
const separator = "/"

// loader merges the sources.
type loader struct {
	config Config
	merged *koanf.Koanf
	errs   []error
}

func (l *loader) wrong(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(format, args...))
}

func (l *loader) file(opts Options) {
	path, named := opts.File, true
	if path == "" {
		path = lookup(opts.Environ, envFile)
	}
	if path == "" {
		path, named = filepath.Join(opts.Dir, DefaultFile), false
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !named {
		return
	}
	layer := koanf.New(".")
	if err := layer.Load(file.Provider(path), yaml.Parser()); err != nil {
		l.wrong("%s: %w", path, withoutValues(err))
		return
	}
	raw, values := layer.Raw(), map[string]any{}
	if list, there := raw[hooksKey]; there {
		hooks, err := parseHooks(list)
		if err != nil {
			l.wrong("%s: %s%w", path, hooksKey, err)
		}
		l.config.Hooks = hooks
		l.config.sources[hooksKey] = path
		delete(raw, hooksKey)
	}
	l.flatten(path, "", raw, values)
	l.lay(path, values)
}

// flatten collects values by key. Sections may be nested, keys may be dotted, or both. A
// name that is both a section and a key counts as a section if there are keys below it.
func (l *loader) flatten(path, prefix string, in, out map[string]any) {
	for _, part := range slices.Sorted(maps.Keys(in)) {
		name, value := prefix+part, in[part]
		inner, isMap := value.(map[string]any)
		_, known := find(name)
		_, twice := out[name]
		switch {
		case isMap && isSection(name):
			l.flatten(path, name+".", inner, out)
		case known && twice:
			l.wrong("%s: %s: is set twice", path, name)
		case known:
			out[name] = value
		case !isSection(name):
			l.wrong("%s: %s: there is no such key%s", path, name, suggest(name, Key.name))
		case value != nil: // an empty section is allowed
			l.wrong("%s: %s: takes keys below it, not a value", path, name)
		}
	}
}

func (l *loader) environ(environ []string) {
	byEnv := map[string]Key{}
	for _, k := range keys() {
		byEnv[k.Env()] = k
	}
	values := map[string]any{}
	provider := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			k, known := byEnv[name]
			switch {
			case known && value == "": // ${UNSET} of a compose file
			case known:
				values[k.Name] = value
			case name == envFile, isServiceLink(name, value):
			default:
				const advice = "; the node reads every variable that begins with " + envPrefix + ": give it another name, or remove it"
				l.wrong("%s: there is no such key%s", name, cmp.Or(suggest(name, Key.Env), advice))
			}
			return "", nil
		},
	})
	if _, err := provider.Read(); err != nil {
		l.wrong("read the environment: %w", err)
	}
	l.lay("", values)
}

func (l *loader) flags(given map[string]string) {
	values := map[string]any{}
	for name, value := range given {
		if _, known := find(name); !known {
			l.wrong("--%s: there is no such flag", strings.ReplaceAll(name, ".", "-"))
			continue
		}
		values[name] = value
	}
	l.lay("--", values)
}

// lay overrides the values of earlier layers, and records the source. where is the path of
// the file, "" for the environment, or "--" for flags.
func (l *loader) lay(where string, values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		k, _ := find(name)
		source := where
		switch where {
		case "":
			source = k.Env()
		case "--":
			source = "--" + k.Flag()
		}
		// Check here, too, so that a mistake is reported even if a later layer overrides
		// the value.
		if err := k.set(&Config{}, values[name]); err != nil {
			at := source
			if where != "" && where != "--" {
				at += ": " + name
			}
			l.wrong("%s: %w", at, err)
			delete(values, name)
			continue
		}
		l.config.sources[name] = source
	}
	if err := l.merged.Load(confmap.Provider(values, separator), nil); err != nil {
		l.wrong("merge the configuration: %w", err)
	}
}

func (l *loader) apply() {
	for _, k := range keys() {
		if l.merged.Exists(k.Name) {
			if err := k.set(&l.config, l.merged.Get(k.Name)); err != nil {
				l.wrong("%s: %w", k.Name, err)
			}
		}
	}
}

func lookup(environ []string, name string) string {
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func isSection(name string) bool {
	return slices.ContainsFunc(keys(), func(k Key) bool { return strings.HasPrefix(k.Name, name+".") })
}

// Kubernetes and Docker set these variables in every container next to a service whose name
// begins with moim.
var (
	serviceName = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$`)
	servicePort = regexp.MustCompile(`_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
	portDetail  = regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$`)
)

func isServiceLink(name, value string) bool {
	return serviceName.MatchString(name) || portDetail.MatchString(name) ||
		servicePort.MatchString(name) && serviceURL.MatchString(value)
}

var (
	yamlLine  = regexp.MustCompile(`line \d+`)
	yamlQuote = regexp.MustCompile("`[^`]*`|'[^']*'")
)

// withoutValues removes values that the YAML parser quotes in its errors.
func withoutValues(err error) error {
	if typed, ok := errors.AsType[*yamlv3.TypeError](err); ok {
		var lines []string
		for _, text := range typed.Errors {
			switch line := yamlLine.FindString(text); {
			case strings.Contains(text, "already defined"): // quotes a key
				lines = append(lines, text)
			default:
				lines = append(lines, line+": expected keys with values")
			}
		}
		return errors.New(strings.Join(lines, "; "))
	}
	if text := err.Error(); strings.HasPrefix(text, "yaml:") {
		return errors.New(yamlQuote.ReplaceAllString(text, "(hidden)"))
	}
	return err
}
