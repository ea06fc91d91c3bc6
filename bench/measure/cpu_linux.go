package measure

import (
	"os"
	"time"

	"github.com/moim-live/moim/bench/process"
)

// processorTime is what this process and all those below it have used.
func processorTime() (total time.Duration) {
	all, err := process.All()
	if err != nil {
		return 0
	}
	this := map[int]bool{os.Getpid(): true}
	for pid, p := range all {
		if process.Below(all, pid, this) {
			total += p.Used
		}
	}
	return total
}
