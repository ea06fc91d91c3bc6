package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/pgtest"
)

// TestT91LimitsBeforeAndAfter prints a table for attacks without limits and with the default
// limits. It shows how many calls of an attacker succeed, and how long another user waits
// meanwhile.
func TestT91LimitsBeforeAndAfter(t *testing.T) {
	during := inSoak(0, 4*time.Second)
	if during == 0 {
		t.Skip("make soak runs it")
	}
	was, wasThere := prepareLimits(t)
	is, isThere := prepareLimits(t, limitsOn)
	t.Log("T91: | attack | before: attacker | bystander p50 / p99 | after: attacker | bystander p50 / p99 |")
	for _, name := range slices.Sorted(maps.Keys(was)) { // both alternately, because other work on the machine may change the results
		t.Logf("T91: | %s | %s | %s |", name, was[name].measure(during, wasThere), is[name].measure(during, isThere))
	}
}

// prepareLimits starts a node and returns the attacks on it, and a call of another user.
func prepareLimits(t *testing.T, env ...string) (floods map[string]flood, bystand func(int) error) {
	t.Helper()
	d := startCluster(t, 1, append(env, "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t), "MOIM_LIMIT_GROUP_BANS=50",
		"MOIM_LIMIT_GROUP_REQUESTS=50", "MOIM_LIMIT_SOCKET_SUBSCRIPTIONS=3")...)
	floods, bystand = floodsOf(t, d)
	more(t, d, floods)
	delete(floods, "subscriptions") // five groups are too few for an attack
	return floods, bystand
}

// more adds the attacks that have tests of their own.
func more(t *testing.T, d *deployment, floods map[string]flood) {
	t.Helper()
	users := make([]string, 100)
	for i := range users {
		users[i] = fmt.Sprint("listener-", i)
	}
	groupID := newGroup(t, d, append(users, "sender")...)
	for _, user := range users {
		d.ws(t, 0, user).subscribe(groupID)
	}
	sender := d.ws(t, 0, "sender")
	sender.subscribe(groupID)
	data := strings.Repeat("x", 1000)
	floods["signals to 100 sockets"] = flood{do: func(int) error {
		return sender.request("group:signal", object{"groupId": groupID, "type": "wave", "data": data}, nil)
	}}
	asker := d.api(0, "sender")
	floods["requests by HTTP"] = flood{do: func(int) error {
		_, err := asker.do(t.Context(), http.MethodGet, "/groups/"+groupID, nil, nil)
		return err
	}}
	token := d.token("connector")
	floods["handshakes"] = flood{do: func(int) error {
		c, err := plain.open(t.Context(), d.node(0).URL(), token, newInbox("connector"))
		if err == nil {
			c.close()
		}
		return err
	}}
	floods["open sockets"] = flood{times: 200, do: func(int) error {
		c, err := plain.open(t.Context(), d.node(0).URL(), d.token("hoarder"), newInbox("hoarder"))
		if err == nil {
			t.Cleanup(c.close)
		}
		return err
	}, code: "limit_reached"}
}

// measure attacks with eight concurrent requests for a while, or until a cap was tried often
// enough. It returns how many calls succeeded and how long the other user waited.
func (f flood) measure(during time.Duration, bystand func(int) error) string {
	var through, tried atomic.Int64
	capped := f.code == "limit_reached"
	most := int64(1 << 62)
	if capped {
		most = int64(max(f.times, 200))
	}
	end := time.Now().Add(during)
	var attackers sync.WaitGroup
	for range 8 {
		attackers.Go(func() {
			for time.Now().Before(end) {
				i := tried.Add(1)
				if i > most {
					return
				}
				if err := f.do(int(i)); err == nil {
					through.Add(1)
				}
			}
		})
	}
	var took []time.Duration
	failed := 0
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for i := 0; time.Now().Before(end); i++ {
		began := time.Now()
		if bystand(i) != nil {
			failed++
		}
		took = append(took, time.Since(began))
		<-tick.C
	}
	attackers.Wait()
	slices.Sort(took)
	ms := func(part float64) float64 { return float64(took[int(part*float64(len(took)-1))].Microseconds()) / 1000 }
	done := fmt.Sprintf("%.0f/s", float64(through.Load())/during.Seconds())
	if capped {
		done = fmt.Sprintf("%d of %d", through.Load(), most)
	}
	told := fmt.Sprintf("%s | %.1f / %.0f ms", done, ms(0.5), ms(0.99))
	if failed > 0 {
		told += fmt.Sprintf(", %d of %d failed", failed, len(took))
	}
	return told
}
