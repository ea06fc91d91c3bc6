package measure

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit in which Linux tells of processor time.
const tick = 10 * time.Millisecond

// process is what /proc says of one.
type process struct {
	parent int
	used   time.Duration // user and system, with that of its children that have ended
}

// processorTime is what this process and all those below it have used.
func processorTime() time.Duration {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	all := make(map[int]process, len(files))
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if p, ok := readProcess(file); ok {
			all[pid] = p
		}
	}
	var total time.Duration
	for pid, p := range all {
		if below(all, pid, os.Getpid()) {
			total += p.used
		}
	}
	return total
}

func below(all map[int]process, pid, ancestor int) bool {
	for range len(all) {
		if pid == ancestor {
			return true
		}
		p, ok := all[pid]
		if !ok {
			return false
		}
		pid = p.parent
	}
	return false
}

// readProcess reads "pid (name) state parent …", where a name may hold anything.
func readProcess(file string) (process, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return process{}, false // it has ended meanwhile
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return process{}, false
	}
	numbers := make([]int, 0, 5)
	for _, i := range []int{1, 11, 12, 13, 14} { // parent, and the four times
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return process{}, false
		}
		numbers = append(numbers, n)
	}
	return process{parent: numbers[0], used: time.Duration(numbers[1]+numbers[2]+numbers[3]+numbers[4]) * tick}, true
}
