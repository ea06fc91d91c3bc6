package config

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
)

// Print writes each effective value and its source on a line. It hides secrets.
func (c Config) Print(w io.Writer) error {
	c = c.WithDefaults()
	for _, k := range keys() {
		source, given := c.sources[k.Name]
		if !given {
			source = "default"
		}
		value := k.show(reflect.ValueOf(c).FieldByIndex(k.index))
		if !given && value != k.Default {
			source = "set by the program"
		}
		if value == "" {
			value = `""`
		}
		if _, err := fmt.Fprintf(w, "%-48s # %s\n", k.Name+": "+value, source); err != nil {
			return fmt.Errorf("print the configuration: %w", err)
		}
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
