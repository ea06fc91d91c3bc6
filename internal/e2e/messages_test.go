package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// copyOf applies events as docs/moderation.md describes. It returns the data of the messages by
// their version.
func copyOf(t *testing.T, events []event) map[int64]string {
	t.Helper()
	messages := make(map[int64]string)
	for _, e := range events {
		var d struct {
			Version    int64
			Data       json.RawMessage
			DeletedAt  string
			ReplacedIn int64
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Type == "message.posted" && d.DeletedAt == "":
			messages[e.Version] = string(d.Data)
		case e.Type == "message.edited" && d.ReplacedIn == 0:
			messages[d.Version] = string(d.Data)
		case e.Type == "message.deleted":
			delete(messages, d.Version)
		}
	}
	return messages
}

// needNoSecret checks that no event contains a text that was edited away or deleted.
func needNoSecret(t *testing.T, who string, events []event) {
	t.Helper()
	for _, e := range events {
		if strings.Contains(string(e.Data), "secret") {
			t.Errorf("%s: version %d is %s", who, e.Version, e.Data)
		}
	}
}

// TestMessagesChange edits and deletes messages on two nodes, over HTTP and both kinds of
// sockets. Each subscriber must end with the same messages, whenever it subscribed. A client that
// reads the log from its start must find no text that was edited away or deleted.
func TestMessagesChange(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	groupID := newGroup(t, d, "bo", "cy")
	path := "/groups/" + groupID + "/messages"
	ana, bo, cy := d.io(t, 0, "ana"), d.ws(t, 1, "bo"), d.io(t, 1, "cy")
	live := []*client{ana, bo, cy}
	for _, c := range live {
		c.resume(groupID, 0)
	}
	var posted [4]event
	for i := range posted {
		bo.must("group:message", object{"groupId": groupID, "data": fmt.Sprintf("secret %d", i)}, &posted[i])
	}
	this := func(i int, more object) object {
		all := object{"groupId": groupID, "version": posted[i].Version}
		maps.Copy(all, more)
		return all
	}
	cy.mustRefuse("forbidden", "group:message:edit", this(0, object{"data": "mine"}))
	bo.must("group:message:edit", this(0, object{"data": "secret edit"}), nil)
	d.api(1, "bo").must(t, http.StatusOK, http.MethodPatch, fmt.Sprint(path, "/", posted[0].Version), object{"data": "open"}, nil)
	ana.must("group:message:delete", this(1, nil), nil)
	bo.must("group:message:edit", this(2, object{"data": "another secret"}), nil)
	d.api(0, "ana").must(t, http.StatusOK, http.MethodDelete, fmt.Sprint(path, "/", posted[2].Version), nil, nil)
	var last event
	bo.must("group:message:edit", this(3, object{"data": "kept"}), &last)
	cy.mustRefuse("not_found", "group:message:edit", this(1, object{"data": "mine"}))

	for _, c := range live {
		c.needVersion(groupID, last.Version, soon)
	}
	want := map[int64]string{posted[0].Version: `"open"`, posted[3].Version: `"kept"`}
	late := d.ws(t, 0, "cy")
	late.resume(groupID, 0)
	late.needVersion(groupID, last.Version, soon)
	for _, c := range append(live, late) {
		if got := copyOf(t, c.stream(groupID).received()); !maps.Equal(got, want) {
			t.Errorf("%s ends with the messages %v, want %v", c.name, got, want)
		}
	}
	for i := range d.nodes {
		log := wholeLog(t, d.api(i, "cy"), groupID)
		if got := copyOf(t, log); !maps.Equal(got, want) {
			t.Errorf("the log of node %d ends with the messages %v, want %v", i, got, want)
		}
		needNoSecret(t, fmt.Sprint("the log of node ", i), log)
	}
	needNoSecret(t, late.name, late.stream(groupID).received())
}

// TestMutedEverywhere mutes a member, and then lets only admins post. Each node must refuse the
// member's messages and signals, over each endpoint, and accept them again afterwards.
func TestMutedEverywhere(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 2, "MOIM_REDIS_URL="+redistest.Start(t).URL(), "MOIM_DATABASE_URL="+pgtest.Start(t).NewDatabase(t))
	groupID := newGroup(t, d, "bo")
	path := "/groups/" + groupID
	sockets := []*client{d.io(t, 0, "bo"), d.ws(t, 1, "bo")}
	for _, c := range sockets {
		c.subscribe(groupID)
	}
	ana := d.api(0, "ana")
	message, signal := object{"groupId": groupID, "data": "hi"}, object{"groupId": groupID, "type": "typing", "data": object{}}
	// needHeard waits until every node has the last event.
	needHeard := func() {
		t.Helper()
		var g group
		ana.must(t, http.StatusOK, http.MethodGet, path, nil, &g)
		for _, c := range sockets {
			c.needVersion(groupID, g.Version, soon)
		}
	}
	needRefused := func(code string) {
		t.Helper()
		needHeard()
		for i, c := range sockets {
			c.mustRefuse(code, "group:message", message)
			c.mustRefuse(code, "group:signal", signal)
			d.api(i, "bo").mustRefuse(t, http.StatusForbidden, code, http.MethodPost, path+"/messages", object{"data": "hi"})
			d.api(i, "bo").mustRefuse(t, http.StatusForbidden, code, http.MethodPost, path+"/signals", object{"type": "typing"})
		}
	}
	needHeeded := func() {
		t.Helper()
		needHeard()
		for i, c := range sockets {
			c.must("group:message", message, nil)
			c.must("group:signal", signal, nil)
			d.api(i, "bo").must(t, http.StatusAccepted, http.MethodPost, path+"/signals", object{"type": "typing"}, nil)
		}
	}
	needHeeded()
	ana.must(t, http.StatusOK, http.MethodPut, path+"/mutes/bo", object{}, nil)
	needRefused("muted")
	ana.must(t, http.StatusNoContent, http.MethodDelete, path+"/mutes/bo", nil, nil)
	needHeeded()
	ana.must(t, http.StatusOK, http.MethodPatch, path, object{"posting": "admins"}, nil)
	needRefused("forbidden")
	ana.must(t, http.StatusOK, http.MethodPatch, path+"/members/bo", object{"role": "admin"}, nil)
	needHeeded()
	ana.must(t, http.StatusOK, http.MethodPatch, path+"/members/bo", object{"role": "member"}, nil)
	needRefused("forbidden")
	ana.must(t, http.StatusOK, http.MethodPatch, path, object{"posting": "members"}, nil)
	needHeeded()
}
