package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDocumentedBackEnd runs the back end of docs/authorize.md and checks its decisions.
func TestDocumentedBackEnd(t *testing.T) {
	t.Parallel()
	addr := freeAddr()
	n := newNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_HOOK_PRIVATE=true", "MOIM_AUTHORIZE_URL=http://"+addr+"/", "MOIM_AUTHORIZE_SECRET="+hookSecret)
	if out, err := n.check(); err == nil || !strings.Contains(out, "fail  authorize") || !strings.Contains(out, "they are refused") {
		t.Errorf("moim check, without the back end: %v\n%s", err, out)
	}
	n.Restart()
	ana := api{base: n.URL(), token: mint("ana", time.Hour)}
	ana.mustRefuse(t, http.StatusServiceUnavailable, "unavailable", http.MethodPost, "/groups", object{"name": "g"})
	runDocumented(t, "authorize.md", addr, "AUTHORIZE_SECRET="+hookSecret)
	need(t, time.Minute, "moim check finds the back end", func() bool {
		out, err := n.check()
		return err == nil && strings.Contains(out, "takes connections; it is asked before users create, join")
	})
	var g struct {
		ID         string
		Attributes map[string]string
	}
	ana.must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "g", "visibility": "public", "joinPolicy": "open"}, &g)
	if g.Attributes["plan"] != "free" {
		t.Errorf("the group has the attributes %v", g.Attributes)
	}
	ana.mustRefuse(t, http.StatusForbidden, "refused", http.MethodPost, "/groups", object{"name": "h"})
	bo := api{base: n.URL(), token: mint("bo", time.Hour)}
	bo.must(t, http.StatusOK, http.MethodPost, "/groups/"+g.ID+"/join", nil, nil)
	if strings.Contains(n.log.String(), hookSecret) {
		t.Error("the log has the secret")
	}
}
