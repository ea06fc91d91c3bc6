package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Key is one setting.
type Key struct {
	Name    string // redis.socket.url
	Help    string
	Default string // as text; empty if there is none
	Secret  bool   // must never be shown

	index []int // index of the field in Config
	off   bool  // the default is 0: the feature is off
}

// Env returns the environment variable: MOIM_REDIS_SOCKET_URL.
func (k Key) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// Flag returns the flag, without dashes: redis-socket-url.
func (k Key) Flag() string { return strings.ReplaceAll(k.Name, ".", "-") }

const envPrefix = "MOIM_"

// Keys returns all keys in their documented order. The slice is shared: do not modify it.
func Keys() []Key { return keys() }

var keys = sync.OnceValue(func() []Key {
	defaults := reflect.ValueOf(Config{}.WithDefaults())
	return walk(nil, defaults, "", nil)
})

func walk(table []Key, v reflect.Value, prefix string, index []int) []Key {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("key")
		if name == "" {
			continue
		}
		at := slices.Concat(index, []int{i})
		if f.Type.Kind() == reflect.Struct && !reflect.PointerTo(f.Type).Implements(textType) {
			table = walk(table, v.Field(i), prefix+name+".", at)
			continue
		}
		table = append(table, Key{
			Name:    prefix + name,
			Help:    f.Tag.Get("help"),
			Default: format(v.Field(i)),
			Secret:  f.Tag.Get("secret") == "true",
			index:   at,
			off:     v.Field(i).IsZero(),
		})
	}
	return table
}

func find(name string) (Key, bool) {
	for _, k := range keys() {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]() // a value with its own text format
)

// format formats a value in the form that Load parses.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return shortDuration(x)
	case []string:
		return strings.Join(x, ",")
	default:
		return fmt.Sprint(x)
	}
}

// shortDuration formats 720h instead of 720h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// set stores a value, which is text or the YAML parser's result, in the field of k in c.
// Errors do not quote the value, because it may be a secret under the wrong key.
func (k Key) set(c *Config, raw any) error {
	f := reflect.ValueOf(c).Elem().FieldByIndex(k.index)
	if f.Kind() == reflect.Slice {
		list, err := parseList(raw)
		if err == nil {
			f.Set(reflect.ValueOf(list))
		}
		return err
	}
	text, err := scalar(raw, f.Kind() == reflect.String)
	if err != nil {
		return err
	}
	if err := parseInto(f, text); err != nil {
		return err
	}
	if f.IsZero() && !k.off && f.Kind() != reflect.String && f.Kind() != reflect.Bool {
		return fmt.Errorf("must be above 0 (default %s)", k.Default) // otherwise WithDefaults would silently replace 0
	}
	return nil
}

func parseInto(f reflect.Value, text string) error {
	own, hasOwn := f.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case hasOwn && text != "":
		return own.UnmarshalText([]byte(text))
	case f.Kind() == reflect.String:
		f.SetString(text)
	case text == "":
		return fmt.Errorf("needs a value")
	case f.Type() == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("must be a duration like 5s, 200ms or 24h")
		}
		f.SetInt(int64(d))
	case f.CanInt():
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return fmt.Errorf("must be a whole number")
		}
		f.SetInt(n)
	case f.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("must be true or false")
		}
		f.SetBool(b)
	default:
		return fmt.Errorf("has an unsupported type: %s", f.Type())
	}
	return nil
}

// scalar returns a single value as text. With wantText it refuses values that YAML parsed
// as a number or a date, because their original text is lost.
func scalar(raw any, wantText bool) (string, error) {
	switch x := raw.(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(x), nil
	case int, int64, uint64, bool:
		if wantText {
			return "", fmt.Errorf("must be text: put it into quotes")
		}
		return fmt.Sprint(x), nil
	case []any, []string, map[string]any:
		return "", fmt.Errorf("must be one value")
	default:
		if wantText {
			return "", fmt.Errorf("must be text: put it into quotes")
		}
		return fmt.Sprint(x), nil
	}
}

func parseList(raw any) ([]string, error) {
	var list []string
	switch x := raw.(type) {
	case nil:
	case string:
		for part := range strings.SplitSeq(x, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	case []any:
		for _, item := range x {
			text, err := scalar(item, true)
			if err != nil {
				return nil, err
			}
			list = append(list, text)
		}
	default:
		return nil, fmt.Errorf("must be a list, or text separated by commas")
	}
	return list, nil
}
