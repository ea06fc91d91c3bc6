package app

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/auth"
)

// TestLargeBodiesAreAnswered sends bodies that are refused unread. A client that reads nothing
// before its body is sent gets the answer, and a client that waits for a hint to send is not
// asked to.
func TestLargeBodiesAreAnswered(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	startServer(t, s)
	body := strings.Repeat(" ", maxRefused)
	token, err := auth.Mint([]byte(testSecret), auth.Identity{UserID: "shop", Admin: true, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, header, body, status string }{
		"without a token":     {"/v1/groups", "", body, "401"},
		"too large":           {"/v1/groups", "Authorization: Bearer " + token + "\r\n", body, "413"},
		"no such route":       {"/v1/nothing", "", body, "404"},
		"a wrong method":      {"/healthz", "", body, "405"},
		"a refused handshake": {"/socket.io/?EIO=4&transport=polling&sid=none", "", body, "400"},
		"a hint to send":      {"/v1/groups", "Expect: 100-continue\r\n", "", "401"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n", test.path, len(body), test.header)
			if _, err := io.WriteString(conn, head+test.body); err != nil {
				t.Fatalf("send the request: %v", err)
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+test.status) {
				t.Errorf("answered %q (%v), want status %s", line, err, test.status)
			}
		})
	}
}

// maxRefused is a size of a body that is too large, in bytes.
const maxRefused = 12 << 20
