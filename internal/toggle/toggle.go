// Package toggle defines a boolean configuration value whose default may be true.
package toggle

import (
	"errors"
	"strconv"
)

// Switch is on or off. The zero value means the default.
type Switch int

// The values of a [Switch].
const (
	On  Switch = 1
	Off Switch = -1
)

// String returns true or false.
func (s Switch) String() string { return strconv.FormatBool(s == On) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Switch) UnmarshalText(text []byte) error {
	on, err := strconv.ParseBool(string(text))
	if err != nil {
		return errors.New("must be true or false")
	}
	*s = Off
	if on {
		*s = On
	}
	return nil
}
