package app

import (
	"log/slog"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/modules/auth"
)

// DevelopmentSecret adds the secret in the data directory to a configuration without an
// auth key, and allows pages on this machine. It creates the secret if necessary. It logs a
// warning, because anyone who can read the directory can sign tokens.
func DevelopmentSecret(cfg config.Config, log *slog.Logger) (config.Config, error) {
	if !cfg.Auth.Empty() {
		return cfg, nil
	}
	secret, created, err := auth.DevelopmentSecret(cfg.Data.Dir)
	if err != nil {
		return cfg, err
	}
	cfg.Auth.Secret = string(secret)
	cfg.HTTP.LoopbackOrigins = true
	log.Warn("app: development mode: tokens are signed with a secret in data.dir; `moim token --user alice` prints one; in production, set auth.secret, auth.jwks.url or auth.public.key",
		"dir", cfg.Data.Dir, "created", created)
	return cfg, nil
}
