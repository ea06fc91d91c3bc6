//go:build linux

package host

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which Linux tells of processor time.
const tick = 10 * time.Millisecond

// Used is the processor time, user and system, of all processes that this one
// has started and that those have started, but for one: servers, Redis,
// PostgreSQL, and not the load generator.
func Used(but int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	parents, used := make(map[int]int), make(map[int]time.Duration)
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if text, err := os.ReadFile(file); err == nil { // else it has ended meanwhile
			parents[pid], used[pid] = stat(text)
		}
	}
	var total time.Duration
	for pid := range parents {
		for p := parents[pid]; pid != but && p > 0; p = parents[p] {
			if p == os.Getpid() {
				total += used[pid]
				break
			}
		}
	}
	return total, nil
}

// stat reads "pid (name) state parent …", where a name may hold anything: the
// parent, and the time used with that of the children that have ended.
func stat(text []byte) (parent int, used time.Duration) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return 0, 0
	}
	numbers := make([]int, 0, 5)
	for _, i := range []int{1, 11, 12, 13, 14} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			return 0, 0
		}
		numbers = append(numbers, n)
	}
	return numbers[0], time.Duration(numbers[1]+numbers[2]+numbers[3]+numbers[4]) * tick
}

// Resident is how many bytes of a process are in memory.
func Resident(pid int) (int64, error) {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}
