package config

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
)

// Setting is an effective value.
type Setting struct {
	Key
	Value  string // as text; secrets are hidden
	Source string // "default", the path of the file, the environment variable, or the flag
}

// Settings returns each effective value with its source, in the documented order.
func (c Config) Settings() []Setting {
	c = c.WithDefaults()
	settings := make([]Setting, 0, len(keys()))
	for _, k := range keys() {
		source, given := c.sources[k.Name]
		if !given {
			source = "default"
		}
		value := k.show(reflect.ValueOf(c).FieldByIndex(k.index))
		if !given && value != k.Default {
			source = "set by the program"
		}
		settings = append(settings, Setting{Key: k, Value: value, Source: source})
	}
	return settings
}

// Print writes one line for each effective value, with its source. It hides secrets.
func (c Config) Print(w io.Writer) error {
	for _, s := range c.Settings() {
		value := s.Value
		if value == "" {
			value = `""`
		}
		if _, err := fmt.Fprintf(w, "%-48s # %s\n", s.Name+": "+value, s.Source); err != nil {
			return fmt.Errorf("print the configuration: %w", err)
		}
	}
	if len(c.Hooks) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "%-48s # %s\n", hooksKey+": "+c.hookNames(), cmp.Or(c.sources[hooksKey], "set by the program")); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return nil
}

const hidden = "***"

var (
	urlPassword = regexp.MustCompile(`(://[^/?#\s:@]*):[^\s]*@`)
	urlSecret   = regexp.MustCompile(`(?i)([?&][^=&\s]*(?:password|secret|token|key)[^=&\s]*=)[^&\s]*`)
)

// show formats a value and hides secrets in it.
func (k Key) show(v reflect.Value) string {
	text := format(v)
	switch {
	case text == "":
		return ""
	case k.Secret, strings.Contains(text, "PRIVATE KEY"):
		return hidden
	}
	text = urlPassword.ReplaceAllString(text, "${1}:"+hidden+"@")
	text = urlSecret.ReplaceAllString(text, "${1}"+hidden)
	if strings.ContainsAny(text, "\n\r") { // the text of a key
		return fmt.Sprintf("%q", text)
	}
	return text
}
