//go:build linux

package load

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// PayloadSize is how many bytes a payload has.
const PayloadSize = 150

const (
	marker = `"sent":"`
	digits = 19
)

// Clock tells nanoseconds that are the same in every process of the machine
// and never go back.
type Clock struct {
	start time.Time
	base  int64
}

// NewClock reads the machine's monotonic clock.
func NewClock() (Clock, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return Clock{}, err
	}
	return Clock{start: time.Now(), base: now.Nano()}, nil
}

// Now returns nanoseconds.
func (c Clock) Now() int64 { return c.base + int64(time.Since(c.start)) }

// Payload returns a JSON object that says when it was sent, as a client of
// each server sends it.
func Payload(sent int64) []byte {
	text := append(make([]byte, 0, PayloadSize), `{`+marker...)
	number := strconv.FormatInt(sent, 10)
	text = append(text, bytes.Repeat([]byte{'0'}, digits-len(number))...)
	text = append(text, number...)
	text = append(text, `","text":"`...)
	for i := 0; len(text) < PayloadSize-2; i++ {
		text = append(text, "We start at seven, in the room on the left. "[i%44])
	}
	return append(text, `"}`...)
}

// sentAt reads the time from the payload in a message.
func sentAt(message []byte) (sent int64, ok bool) {
	i := bytes.Index(message, []byte(marker))
	if i < 0 || len(message) < i+len(marker)+digits {
		return 0, false
	}
	for _, c := range message[i+len(marker):][:digits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		sent = sent*10 + int64(c-'0')
	}
	return sent, true
}
