package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/group"
)

// TestFunctionsAreHooks creates a group while a function fails first. It gets the event
// again.
func TestFunctionsAreHooks(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	failed := false
	router := gin.New()
	start(t, config.Config{}, router, app.WithHook("billing", func(_ context.Context, events []group.Event) error {
		for _, e := range events {
			got <- fmt.Sprint(e.Version, " ", e.Type, " ", failed)
		}
		if !failed {
			failed = true
			return errors.New("not yet")
		}
		return nil
	}))
	server := serve(t, router)
	newPerson(t, http.DefaultClient, server.URL, "ana", false).call(t, http.MethodPost, "/groups", object{"name": "g"})
	for _, want := range []string{"1 group.created false", "1 group.created true"} {
		select {
		case text := <-got:
			if text != want {
				t.Errorf("the function got %q, want %q", text, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the function never got %q", want)
		}
	}
}
