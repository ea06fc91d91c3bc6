package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
)

// TestEveryRefusalHasCodes reads the API document of all modules. Each call must list the errors
// that every call can return, and each error answer must list its codes.
func TestEveryRefusalHasCodes(t *testing.T) {
	t.Parallel()
	router := gin.New()
	start(t, config.Config{}, router)
	server := serve(t, router)
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Codes []string `json:"x-codes"`
			}
		}
	}
	if err := json.NewDecoder(get(t, server.URL+"/openapi.json", "").Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		for method, call := range methods {
			for _, status := range []string{"400", "401", "403", "429", "500", "503"} {
				if len(call.Responses[status].Codes) == 0 {
					t.Errorf("%s %s: the answer %s has no codes", method, path, status)
				}
			}
			for status, answer := range call.Responses {
				if status >= "400" && status != "default" && len(answer.Codes) == 0 {
					t.Errorf("%s %s: the answer %s has no codes", method, path, status)
				}
			}
		}
	}
}
