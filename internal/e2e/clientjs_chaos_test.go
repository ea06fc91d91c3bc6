package e2e

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/proxytest"
)

// TestClientJSChaos makes clients of client/js post while their connections are cut, delayed,
// frozen and lost, and their nodes are killed. Afterwards, each client must show the state of the
// server. It must have received every event once and in order, and every post must exist once and
// in order. MOIM_CHAOS=30m runs the faults for that long.
func TestClientJSChaos(t *testing.T) {
	t.Parallel()
	lasts := inSoak(time.Minute, 30*time.Minute)
	if given := os.Getenv("MOIM_CHAOS"); given != "" {
		var err error
		if lasts, err = time.ParseDuration(given); err != nil {
			t.Fatal(err)
		}
	}
	if err := install(clientJS); err != nil {
		skipOrFail(t, err)
	}
	d := startOnOne(t, 3)
	var links []*proxytest.Proxy
	args := []string{"--enable-source-maps", "scripts/run.mjs", "test/chaos.ts"}
	for _, n := range d.nodes[:2] {
		link := proxytest.Start(t, n.addr)
		links, args = append(links, link), append(args, "http://"+link.Addr())
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts+inSoak(4*time.Minute, 25*time.Minute))
	defer cancel()
	clients := exec.CommandContext(ctx, "node", append(args, "--", d.node(2).URL())...)
	clients.Dir = clientJS
	clients.Env = append(os.Environ(), "MOIM_SECRET="+secret)
	clients.WaitDelay = 10 * time.Second
	childtest.DieWithParent(clients)
	var problems strings.Builder
	clients.Stderr = &problems
	in, err := clients.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := clients.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := clients.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		cancel()
		_ = clients.Wait()
		t.Fatalf("the clients are not ready: %q\n%s", lines.Text(), problems.String())
	}

	for began, n := time.Now(), 0; time.Since(began) < lasts; n++ {
		breakOne(d, links, n)
	}
	_, _ = io.WriteString(in, "finish\n")
	_ = in.Close()
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := clients.Wait(); err != nil {
		t.Errorf("%v\n%s", err, problems.String())
	}
}

// breakOne interrupts a link or a node for a short time.
func breakOne(d *deployment, links []*proxytest.Proxy, n int) {
	i := n % len(links)
	link := links[i]
	for range 3 {
		switch rand.IntN(4) {
		case 0:
			link.Drop()
		case 1:
			link.Cut()
		case 2:
			link.Freeze()
		case 3:
			link.Delay(100 * time.Millisecond)
		}
		pause := time.NewTimer(time.Duration(100+rand.IntN(500)) * time.Millisecond)
		<-pause.C
		link.Heal()
	}
	switch n % 3 {
	case 0:
		link.Strand() // only the client can detect this
	case 1:
		d.node(i).Kill()
		d.node(i).Restart()
	}
}
