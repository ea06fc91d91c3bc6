//go:build linux

// Package process tells what the processes of this machine have used of its
// processors.
package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit in which /proc tells of processor time.
const tick = 10 * time.Millisecond

// Process is one at the moment of looking.
type Process struct {
	Name   string
	Parent int
	// Used is processor time, user and system: the process's own to the
	// nanosecond, and that of its children that have ended to 10 ms.
	Used time.Duration
}

// All are those of this machine, by id.
func All() (map[int]Process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]Process, len(files))
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		p := stat(text)
		p.Used += clock(pid)
		all[pid] = p
	}
	return all, nil
}

// Below reports whether a process is one of these or was started below one.
func Below(all map[int]Process, pid int, these map[int]bool) bool {
	for ; pid > 0; pid = all[pid].Parent {
		if these[pid] {
			return true
		}
	}
	return false
}

// stat reads "pid (name) state parent …", where a name may hold anything. Used
// is that of the children.
func stat(text []byte) Process {
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return Process{}
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 15 {
		return Process{}
	}
	var numbers [3]int
	for i, field := range []int{1, 13, 14} { // parent, and the children's two times
		n, err := strconv.Atoi(fields[field])
		if err != nil {
			return Process{}
		}
		numbers[i] = n
	}
	return Process{
		Name: string(text[begin+1 : end]), Parent: numbers[0],
		Used: time.Duration(numbers[1]+numbers[2]) * tick,
	}
}

// clock is what a process has used itself: the clock that
// clock_getcpuclockid(3) names, where /proc counts in ticks.
func clock(pid int) time.Duration {
	const scheduler = 2 // CPUCLOCK_SCHED
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &used); err != nil {
		return 0 // it has ended meanwhile
	}
	return time.Duration(used.Nano())
}
