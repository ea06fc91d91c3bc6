//go:build !unix

package console

import "time"

// processorTime is unknown on this system.
func processorTime() time.Duration { return 0 }
