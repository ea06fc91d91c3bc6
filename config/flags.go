package config

import (
	"fmt"
	"reflect"
	"strings"
)

// FlagGroup is the kong group of the flags.
const FlagGroup = "config"

// Flags returns a pointer to a struct for kong.Plugins (github.com/alecthomas/kong), with
// one *string field for each key. After parsing, pass it to [FlagValues].
func Flags() any {
	var fields []reflect.StructField
	for _, k := range keys() {
		help := k.Help
		if k.Default != "" && !strings.Contains(help, "default") {
			help += " (default " + k.Default + ")"
		}
		tag := fmt.Sprintf(`name:%q help:%q placeholder:%q group:%q`, k.Flag(), help, placeholder(k), FlagGroup)
		fields = append(fields, reflect.StructField{
			Name: fieldName(k.Name),
			Type: reflect.TypeFor[*string](),
			Tag:  reflect.StructTag(tag),
		})
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// FlagValues returns the values of the given flags, by key, for [Options]. flags is the
// result of [Flags].
func FlagValues(flags any) map[string]string {
	given := map[string]string{}
	v := reflect.ValueOf(flags).Elem()
	for _, k := range keys() {
		if value, ok := v.FieldByName(fieldName(k.Name)).Interface().(*string); ok && value != nil {
			given[k.Name] = *value
		}
	}
	return given
}

// fieldName converts a key to an exported field name, such as RedisSocketUrl.
func fieldName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, ".") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func placeholder(k Key) string {
	switch {
	case k.Default != "":
		return k.Default
	case strings.HasSuffix(k.Name, "url"):
		return "URL"
	default:
		return "TEXT"
	}
}
