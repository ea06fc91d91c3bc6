package limit

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Rate is a token bucket. Count tokens are added per Per, up to Burst. Per is a second, a
// minute or an hour. The zero value means the default, and a negative Count means no limit.
type Rate struct {
	Count int64
	Per   time.Duration
	Burst int64
}

// ByteRate is a [Rate] of bytes.
type ByteRate Rate

// NoRate is a [Rate] that limits nothing.
var NoRate = Rate{Count: -1}

// Quota limits a number of items and their bytes.
type Quota struct {
	Number Rate
	Bytes  ByteRate
}

func (r Rate) off() bool { return r.Count < 0 }

// periods are the periods and their texts.
var periods = []struct {
	text   string
	length time.Duration
}{{"s", time.Second}, {"min", time.Minute}, {"h", time.Hour}}

var (
	errNumber = errors.New("must be a whole number; 0 for no limit")
	errRate   = errors.New("must be a rate such as 50/s or 50/s, burst 200, per s, min or h; 0 for no limit")
	errBytes  = errors.New("must be a rate such as 256 KiB/s or 256 KiB/s, burst 2 MiB, per s, min or h; 0 for no limit")
	errQuota  = errors.New("must be a rate with or without one of bytes, such as 10/s, burst 50; 1 MiB/s; 0 for no limit")
)

// maxNumber is the largest value of a limit.
const maxNumber = 1 << 40

// parseNumber parses a positive number such as 20,000.
func parseNumber(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSpace(text), ",", ""), 10, 64)
	return n, err == nil && n > 0 && n <= maxNumber
}

// parseRate parses a rate. parse parses its numbers.
func parseRate(text string, parse func(string) (int64, bool)) (Rate, bool) {
	if strings.TrimSpace(text) == "0" {
		return NoRate, true
	}
	text, burst, hasBurst := strings.Cut(text, "burst")
	text = strings.TrimSuffix(strings.TrimSpace(text), ",")
	count, unit, ok := strings.Cut(text, "/")
	if !ok {
		return Rate{}, false
	}
	var r Rate
	for _, p := range periods {
		if strings.TrimSpace(unit) == p.text {
			r.Per = p.length
		}
	}
	r.Count, ok = parse(count)
	r.Burst = r.Count
	if hasBurst && ok {
		r.Burst, ok = parse(burst)
	}
	return r, ok && r.Per > 0
}

// text formats a rate. format formats its numbers.
func (r Rate) text(format func(int64) string) string {
	if r.off() {
		return "0"
	}
	unit := r.Per.String()
	for _, p := range periods {
		if p.length == r.Per {
			unit = p.text
		}
	}
	text := format(r.Count) + "/" + unit
	if r.Burst != r.Count {
		text += ", burst " + format(r.Burst)
	}
	return text
}

func formatNumber(n int64) string { return strconv.FormatInt(n, 10) }

// String returns the rate as the configuration writes it.
func (r Rate) String() string { return r.text(formatNumber) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads 50/s, burst 200.
func (r *Rate) UnmarshalText(text []byte) error {
	parsed, ok := parseRate(string(text), parseNumber)
	if !ok {
		return errRate
	}
	*r = parsed
	return nil
}

// String returns the rate as the configuration writes it.
func (r ByteRate) String() string { return Rate(r).text(formatBytes) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads 256 KiB/s, burst 2 MiB.
func (r *ByteRate) UnmarshalText(text []byte) error {
	parsed, ok := parseRate(string(text), parseBytes)
	if !ok {
		return errBytes
	}
	*r = ByteRate(parsed)
	return nil
}

// String returns the quota as the configuration writes it.
func (q Quota) String() string {
	if Rate(q.Bytes).off() {
		return q.Number.String()
	}
	return q.Number.String() + "; " + q.Bytes.String()
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads 10/s, burst 50; 1 MiB/s.
// Without the second part, bytes are not limited.
func (q *Quota) UnmarshalText(text []byte) error {
	number, bytes, has := strings.Cut(string(text), ";")
	if !has {
		bytes = "0"
	}
	var parsed Quota
	if parsed.Number.UnmarshalText([]byte(number)) != nil || parsed.Bytes.UnmarshalText([]byte(bytes)) != nil {
		return errQuota
	}
	*q = parsed
	return nil
}

// Cap is the maximum number of something. The zero value means the default, and a negative
// value means no limit.
type Cap int64

// NoCap is a [Cap] that limits nothing.
const NoCap Cap = -1

// Exceeded reports whether n is more than the cap allows.
func (c Cap) Exceeded(n int) bool { return c >= 0 && int64(n) > int64(c) }

// String returns the cap as the configuration writes it.
func (c Cap) String() string { return formatNumber(max(int64(c), 0)) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Cap) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*c = NoCap
		return nil
	}
	n, ok := parseNumber(string(text))
	if !ok {
		return errNumber
	}
	*c = Cap(n)
	return nil
}

// Share is a [Cap] that may be a percentage of the file descriptors that the process
// may have. The zero value stands for the default.
type Share struct {
	Cap     Cap
	Percent int // if it is above 0, Cap does not count
}

// String returns the share as the configuration writes it.
func (s Share) String() string {
	if s.Percent > 0 {
		return strconv.Itoa(s.Percent) + "%"
	}
	return s.Cap.String()
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It reads 90% or 5000.
func (s *Share) UnmarshalText(text []byte) error {
	percent, is := strings.CutSuffix(string(text), "%")
	if !is {
		s.Percent = 0
		return s.Cap.UnmarshalText(text)
	}
	n, err := strconv.Atoi(percent)
	if err != nil || n < 1 || n > 99 {
		return errors.New("must be a percentage of the file descriptors from 1% to 99%, or a whole number; 0 for no limit")
	}
	*s = Share{Percent: n}
	return nil
}
