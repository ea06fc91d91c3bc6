package redisrole

import "time"

// SetRenewEvery makes a registry renew more often than in production.
func SetRenewEvery(r *Registry, every time.Duration) { r.every = every }
