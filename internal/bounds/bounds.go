// Package bounds checks the values of a configuration.
package bounds

import (
	"fmt"
)

// Check returns an error that names key if v is below low or above high.
func Check[T ~int | ~int64](key string, v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("%s: must be between %v and %v, not %v", key, low, high, v)
	}
	return nil
}
