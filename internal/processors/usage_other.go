//go:build !unix

package processors

import "time"

func usage() (time.Duration, time.Time, bool) { return 0, time.Time{}, false }
