//go:build linux

package host

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moim-live/moim/bench/process"
)

// Use is processor time (user and system) by the name of the program.
type Use map[string]time.Duration

// Used returns the use of this host's processes and their child processes: servers, Redis,
// PostgreSQL.
func (h *Host) Used() (Use, error) {
	all, err := process.All()
	if err != nil {
		return nil, err
	}
	use := make(Use)
	for pid, p := range all {
		if process.Below(all, pid, h.own) {
			use[p.Name] += p.Used
		}
	}
	return use, nil
}

// adopt calls fn, and counts the processes that fn starts as this host's.
func (h *Host) adopt(fn func() error) error {
	before, err := process.All()
	if err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	after, err := process.All()
	for pid, p := range after {
		if _, old := before[pid]; !old && p.Parent == os.Getpid() {
			h.own[pid] = true
		}
	}
	return err
}

// Since returns the use since an earlier result.
func (u Use) Since(before Use) Use {
	since := make(Use)
	for name, used := range u {
		if more := used - before[name]; more > 0 {
			since[name] = more
		}
	}
	return since
}

// Total returns the sum over all programs.
func (u Use) Total() (total time.Duration) {
	for _, used := range u {
		total += used
	}
	return total
}

// Parts formats each program's part, largest first. It returns "" for a single program.
func (u Use) Parts() string {
	names := slices.SortedFunc(maps.Keys(u), func(a, b string) int { return cmp.Compare(u[b], u[a]) })
	if len(names) < 2 {
		return ""
	}
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.0f %%", name, 100*float64(u[name])/float64(u.Total())))
	}
	return strings.Join(parts, ", ")
}

// Resident returns the resident memory of a process in bytes.
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

// Read returns how many bytes a process has read so far, from files and sockets.
func Read(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.ParseInt(strings.TrimPrefix(line, "rchar: "), 10, 64)
}
