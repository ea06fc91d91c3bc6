package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
)

// A back end that shares the secret issues a token for a user who has logged in. Moim verifies
// the token. A program without the secret cannot issue one.
func ExampleConfig_Mint() {
	ctx := context.Background()
	cfg := auth.Config{Secret: "a secret of at least thirty-two bytes", Issuer: "https://example.com"}
	token, err := cfg.Mint(auth.Identity{UserID: "ada", Name: "Ada", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}

	verifier, err := auth.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := verifier.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = verifier.Stop(ctx) }()
	who, err := verifier.Verify(ctx, token)
	fmt.Println(who.UserID, who.Name, err)

	_, err = verifier.Verify(ctx, token+"x") // the signature does not match any more
	fmt.Println(errors.Is(err, fault.ErrUnauthorized))
	// Output:
	// ada Ada <nil>
	// true
}
