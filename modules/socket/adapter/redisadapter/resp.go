package redisadapter

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// What is needed of RESP, Redis's protocol: a command is an array of strings; an
// answer begins with a line, the first byte of which says what it is.

// maxBulk is the longest string that is taken, in bytes: no envelope is longer.
const maxBulk = maxWire + sealSize

// appendCommand appends the beginning of a command with so many arguments.
func appendCommand(b []byte, name string, args int) []byte {
	b = strconv.AppendInt(append(b, '*'), int64(1+args), 10)
	return appendBulk(append(b, "\r\n"...), name)
}

// appendBulk appends one of a command's strings.
func appendBulk[T string | []byte](b []byte, text T) []byte {
	b = strconv.AppendInt(append(b, '$'), int64(len(text)), 10)
	b = append(append(b, "\r\n"...), text...)
	return append(b, "\r\n"...)
}

// readLine reads a line, which is not empty, without its end. It is valid until
// the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	line, ended := bytes.CutSuffix(line, []byte("\r\n"))
	if !ended || len(line) == 0 {
		return nil, unexpected(line)
	}
	return line, nil
}

// readNumber reads a line that holds a number of a kind: a string's size, or a
// count.
func readNumber(r *bufio.Reader, kind byte) (int, error) {
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	return number(line, kind)
}

func number(line []byte, kind byte) (int, error) {
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || line[0] != kind {
		return 0, unexpected(line)
	}
	return n, nil
}

// readBody appends size bytes, which a line's end follows, to b.
func readBody(r *bufio.Reader, b []byte, size int) ([]byte, error) {
	if size < 0 { // null
		return b, nil
	}
	before := len(b)
	b = slices.Grow(b, size)[:before+size]
	if _, err := io.ReadFull(r, b[before:]); err != nil {
		return b[:before], err
	}
	_, err := r.Discard(len("\r\n"))
	return b, err
}

// readBulk appends a string to b.
func readBulk(r *bufio.Reader, b []byte) ([]byte, error) {
	line, err := readLine(r)
	if err != nil {
		return b, err
	}
	return readRest(r, line, b)
}

// readRest appends the string that line begins to b.
func readRest(r *bufio.Reader, line, b []byte) ([]byte, error) {
	size, err := number(line, '$')
	if err == nil && size > maxBulk {
		err = fmt.Errorf("a string of %d bytes", size)
	}
	if err != nil {
		return b, err
	}
	return readBody(r, b, size)
}

// unexpected is an error for a line that was not expected.
func unexpected(line []byte) error {
	return fmt.Errorf("%.64q is no answer to what was asked", line)
}

// refusal is the server's error.
type refusal string

var _ redis.Error = refusal("")

// Error implements [error].
func (r refusal) Error() string { return string(r) }

// RedisError implements [redis.Error].
func (refusal) RedisError() {}
