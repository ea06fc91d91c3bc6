package app

import (
	"log/slog"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
)

// DevelopmentSecret completes a configuration without any auth key with the
// secret in its data directory, made when there is none yet. It says so: who
// can read that directory can make tokens.
func DevelopmentSecret(cfg config.Config, log *slog.Logger) (config.Config, error) {
	if !cfg.Auth.Empty() {
		return cfg, nil
	}
	secret, created, err := auth.DevelopmentSecret(cfg.Data.Dir)
	if err != nil {
		return cfg, err
	}
	cfg.Auth.Secret = string(secret)
	log.Warn("app: tokens are signed with a development secret; set auth.secret, auth.jwks.url or auth.public.key in production",
		"dir", cfg.Data.Dir, "created", created)
	return cfg, nil
}
