package app_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/modules/authorize"
)

// A program that knows the rules itself can decide in a function, instead of running a back end
// that Moim asks over HTTP. In this example, each user may own one group.
func ExampleWithGatekeeper() {
	cfg, remove := settings()
	defer remove()
	var owners sync.Map // a real program asks its database
	oneEach := func(_ context.Context, q authorize.Question) (authorize.Verdict, error) {
		if _, known := owners.LoadOrStore(q.UserID, true); known && q.Event == "create" {
			return authorize.Verdict{Code: "over_quota", Message: "You have a group already"}, nil
		}
		return authorize.Verdict{Allow: true, Attributes: map[string]any{"plan": "free"}}, nil
	}
	cfg.Authorize.Events = []string{"create"}
	_, server, stop := launch(cfg, app.WithGatekeeper(oneEach))
	defer stop()

	client := connect(server, "/ws", tokenFor(cfg, "ada"))
	defer client.close()
	client.tell("group:create", `{"name":"Sunday hike"}`)
	fmt.Println(client.ask("group:create", `{"name":"Another"}`))
	// Output:
	// {"code":"refused","message":"You have a group already","reason":"over_quota"}
}
