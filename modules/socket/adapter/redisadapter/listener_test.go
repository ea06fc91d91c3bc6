package redisadapter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

const self = 0x0102030405060708

// hearing returns what a listener makes of what a server sends.
func hearing(sent string) (arrived []arrival, err error) {
	a := &Adapter{sender: self}
	l := &listener{own: a.publishedHere, reader: bufio.NewReaderSize(strings.NewReader(sent), listenBuffer)}
	for {
		next, err := l.receive()
		if err != nil {
			return arrived, err
		}
		arrived = append(arrived, next)
	}
}

// bulks is an array of strings, or a push.
func bulks(kind string, texts ...string) string {
	b := fmt.Appendf(nil, "%s%d\r\n", kind, len(texts))
	for _, text := range texts {
		b = appendBulk(b, text)
	}
	return string(b)
}

// envelope begins as one of a sender.
func envelope(sender uint64, rest string) string {
	b := binary.BigEndian.AppendUint64([]byte{wireVersion}, sender)
	return string(binary.BigEndian.AppendUint64(b, 1)) + rest
}

func TestListenerReceives(t *testing.T) {
	t.Parallel()
	long := envelope(7, strings.Repeat("x\r\n", listenBuffer))
	signed := string([]byte{signedVersion}) + strings.Repeat("t", tagSize)
	tests := []struct {
		name, sent string
		want       []arrival
	}{
		{"RESP3", bulks(">", "message", "c", "text"), []arrival{{kind: message, channel: "c", payload: "text"}}},
		{"RESP2", bulks("*", "message", "c", ""), []arrival{{kind: message, channel: "c"}}},
		{"long", bulks(">", "message", "c", long), []arrival{{kind: message, channel: "c", payload: long}}},
		{"own", bulks(">", "message", "c", envelope(self, "data")) + "+PONG\r\n", []arrival{{kind: echo}, {kind: pong, payload: "PONG"}}},
		{"own and signed", bulks(">", "message", "c", signed+envelope(self, "data")), []arrival{{kind: echo}}},
		{"own and long", bulks(">", "message", "c", envelope(self, long)) + "+PONG\r\n", []arrival{{kind: echo}, {kind: pong, payload: "PONG"}}},
		{"another's", bulks(">", "message", "c", envelope(self+1, "data")), []arrival{{kind: message, channel: "c", payload: envelope(self+1, "data")}}},
		{"its beginning alone", bulks(">", "message", "c", envelope(self, "")[:5]), []arrival{{kind: message, channel: "c", payload: envelope(self, "")[:5]}}},
		{
			"larger than any envelope", bulks(">", "message", "c", strings.Repeat("x", maxBulk+1)) + "+PONG\r\n",
			[]arrival{{kind: message, channel: "c"}, {kind: pong, payload: "PONG"}},
		},
		{"subscribed", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", []arrival{{kind: entered, channel: "c"}}},
		{"unsubscribed", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n", []arrival{{kind: left, channel: "c"}}},
		{"pong of RESP3", "$5\r\nalive\r\n", []arrival{{kind: pong, payload: "alive"}}},
		{"pong of RESP2", bulks("*", "pong", "alive"), []arrival{{kind: pong, payload: "alive"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := hearing(test.sent)
			if !errors.Is(err, io.EOF) || !slices.Equal(got, test.want) {
				t.Errorf("it received %.200v, %v", got, err)
			}
		})
	}
}

func TestListenerRefuses(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{
		"\r\n", "\n", "x\n", "?\r\n", ":1\r\n", "$-\r\n", ">3\r\n:1\r\n", ">3\r\n$1\r\nx\r\n", ">3\r\n$-1\r\n", "-ERR no\r\n",
		">3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n$1\r\n1\r\n", ">2\r\n$4\r\npong\r\n$99999999999\r\n",
		strings.Repeat("x", 2*listenBuffer),
	} {
		if got, err := hearing(sent); len(got) > 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%.40q: it received %v, %v", sent, got, err)
		}
	}
	if _, err := hearing("-NOPERM no\r\n"); !isReply(err) {
		t.Errorf("a refusal is %v", err)
	}
}

// FuzzListener: a server that sends anything is survived.
func FuzzListener(f *testing.F) {
	f.Add([]byte(bulks(">", "message", "c", envelope(self, "data"))))
	f.Add([]byte(bulks("*", "message", "c", "text") + "+PONG\r\n$1\r\nx\r\n"))
	f.Add([]byte(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n-ERR no\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		if _, err := hearing(string(sent)); err == nil {
			t.Error("it has no end")
		}
	})
}
