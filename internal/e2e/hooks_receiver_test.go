package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
)

// storingReceiver is a receiver that stores what it applies in a file, as a back end does in
// its database. Between storing and answering, it waits a moment.
const storingReceiver = `
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'

const [port, file] = process.argv.slice(2)
const seen = new Map()
for (const line of existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []) {
  const [groupId, version] = line.split(' ')
  seen.set(groupId, Number(version))
}
createServer(async (req, res) => {
  let body = '', lines = ''
  for await (const chunk of req.setEncoding('utf8')) body += chunk
  for (const { groupId, version, type } of JSON.parse(body).events) {
    if (version <= (seen.get(groupId) ?? 0)) continue // a repeat
    lines += groupId + ' ' + version + ' ' + type + '\n'
    seen.set(groupId, version)
  }
  if (lines) appendFileSync(file, lines)
  await setTimeout(10)
  res.writeHead(204).end()
}).listen(port, '127.0.0.1')
`

// TestHooksSurviveKilledReceivers kills a receiver again and again while it is sent events. In
// the end, its file must have exactly the logs of the groups.
func TestHooksSurviveKilledReceivers(t *testing.T) {
	t.Parallel()
	n := startNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HOOK_PRIVATE=true", "MOIM_LIMIT_ENABLED=false")
	ops := api{base: n.URL(), token: mint("ops", time.Hour, `"scope":"admin"`)}
	ana := api{base: n.URL(), token: mint("ana", time.Hour)}
	folder, addr := t.TempDir(), freeAddr()
	program, file := filepath.Join(folder, "receiver.mjs"), filepath.Join(folder, "applied")
	if err := os.WriteFile(program, []byte(storingReceiver), 0o600); err != nil {
		t.Fatal(err)
	}
	applied := func() []string {
		text, _ := os.ReadFile(file)
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	start := func() (kill func()) {
		cmd := exec.CommandContext(t.Context(), "node", program, addr[strings.LastIndex(addr, ":")+1:], file)
		cmd.Stderr = os.Stderr
		childtest.DieWithParent(cmd)
		if err := cmd.Start(); errors.Is(err, exec.ErrNotFound) {
			skipOrFail(t, err)
		} else if err != nil {
			t.Fatal(err)
		}
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	ops.must(t, http.StatusCreated, http.MethodPost, "/hooks", object{"name": "all", "url": "http://" + addr + "/", "events": []string{"*"}}, nil)
	groups := make([]group, 3)
	for i := range groups {
		ana.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "g"}, &groups[i])
	}
	post := func() {
		for range 20 {
			for _, g := range groups {
				ana.must(t, http.StatusCreated, http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": object{}}, nil)
			}
		}
	}
	for range inSoak(3, 20) {
		before := len(applied())
		kill := start()
		post()
		need(t, time.Minute, "events arrive", func() bool { return len(applied()) > before })
		post()
		kill() // between storing events and answering, or nearly
		post()
	}
	t.Cleanup(start())
	ops.must(t, http.StatusAccepted, http.MethodPost, "/hooks/all/replay", nil, nil) // retries waiting deliveries now
	var want int
	logs := make(map[string][]string)
	for _, g := range groups {
		for _, e := range wholeLog(t, ana, g.ID) {
			logs[g.ID] = append(logs[g.ID], fmt.Sprint(g.ID, " ", e.Version, " ", e.Type))
			want++
		}
	}
	need(t, 2*time.Minute, "all events arrive", func() bool { return len(applied()) >= want })
	got := make(map[string][]string)
	for _, line := range applied() {
		id, _, _ := strings.Cut(line, " ")
		got[id] = append(got[id], line)
	}
	for id := range logs {
		if g, w := strings.Join(got[id], "\n"), strings.Join(logs[id], "\n"); g != w {
			t.Errorf("the receiver applied\n%s\nand the log is\n%s", g, w)
		}
	}
}
