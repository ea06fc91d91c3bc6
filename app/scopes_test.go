package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
)

// TestEveryCallChecksItsScope makes every call of the API document with tokens that may only send
// signals.
func TestEveryCallChecksItsScope(t *testing.T) {
	t.Parallel()
	router := gin.New()
	start(t, config.Config{}, router)
	server := serve(t, router)
	token := func(user, scope string) string {
		id, err := auth.Identity{UserID: user, Expires: time.Now().Add(time.Hour)}.WithScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := auth.Mint([]byte(secret), id)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	call := func(method, path string, body any, token string) int {
		return (&person{client: http.DefaultClient, url: server.URL, token: token}).call(t, method, path, body).status
	}
	if status := call(http.MethodPost, "/groups", object{"name": "mine", "visibility": "public"}, token("ana", "")); status != http.StatusCreated {
		t.Fatalf("create: %d", status)
	}
	var mine struct{ Items []struct{ ID string } }
	if err := json.NewDecoder(get(t, server.URL+"/v1/me/groups", token("ana", "")).Body).Decode(&mine); err != nil || len(mine.Items) != 1 {
		t.Fatalf("%+v, %v", mine, err)
	}
	groupID := mine.Items[0].ID
	fill := strings.NewReplacer("{groupId}", groupID, "{userId}", "bo", "{version}", "1", "{code}", "x", "{inviteId}", groupID, "{jobId}", groupID)
	for path, methods := range readDocument(t, server.URL).Paths {
		if !strings.HasPrefix(path, "/v1/") || strings.HasSuffix(path, "/signals") {
			continue
		}
		for method := range methods {
			for _, scope := range []string{"signals:write", "admin signals:write"} {
				status := call(strings.ToUpper(method), fill.Replace(strings.TrimPrefix(path, "/v1")), object{}, token("ana", scope))
				// The body may be checked before the caller's scope.
				refused := status == http.StatusForbidden || method != "get" && (status == http.StatusUnprocessableEntity || status == http.StatusBadRequest)
				if !refused {
					t.Errorf("%s %s with scope %q: %d", method, path, scope, status)
				}
			}
		}
	}
}
