package limit

import (
	"errors"
	"fmt"
	"strings"
)

// Size is a number of bytes. The zero value means the default, and a negative value means
// no limit.
type Size int64

// NoSize is a [Size] that bounds nothing.
const NoSize Size = -1

var errSize = errors.New("must be a size such as 64MiB, or a number of bytes; 0 for no bound")

// Bound returns the number of bytes, or 0 for no limit.
func (s Size) Bound() int64 { return max(int64(s), 0) }

// String returns the size as the configuration writes it.
func (s Size) String() string { return strings.ReplaceAll(formatBytes(s.Bound()), " ", "") }

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads 64MiB, 64 MiB or 1000.
func (s *Size) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*s = NoSize
		return nil
	}
	n, ok := parseBytes(string(text))
	if !ok {
		return errSize
	}
	*s = Size(n)
	return nil
}

// sizes are the units of bytes, largest first.
var sizes = []struct {
	text  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseBytes parses a size such as 256 KiB or 1000.
func parseBytes(text string) (int64, bool) {
	text, unit := strings.TrimSpace(text), int64(1)
	for _, size := range sizes {
		if number, has := strings.CutSuffix(text, size.text); has {
			text, unit = number, size.bytes
			break
		}
	}
	n, ok := parseNumber(text)
	return n * unit, ok && n <= maxNumber/unit
}

func formatBytes(n int64) string {
	for _, size := range sizes {
		if n >= size.bytes && n%size.bytes == 0 {
			return fmt.Sprintf("%d %s", n/size.bytes, size.text)
		}
	}
	return formatNumber(n)
}
