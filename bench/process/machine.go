//go:build linux

package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"
)

// MachineTime is processor time of the whole machine since it was started, in
// clock ticks of all processors together.
type MachineTime struct{ busy, all int64 }

// Machine reads it from /proc/stat.
func Machine() (MachineTime, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return MachineTime{}, err
	}
	return machineTime(text)
}

// machineTime reads "cpu user nice system idle iowait irq softirq steal …";
// what follows is a part of the first two.
func machineTime(text []byte) (t MachineTime, err error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 {
		return t, errors.New("/proc/stat does not begin with the processors' time")
	}
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return t, err
		}
		t.all += ticks
		if i != 3 && i != 4 {
			t.busy += ticks
		}
	}
	return t, nil
}

// Since is what has passed since an earlier look.
func (t MachineTime) Since(before MachineTime) MachineTime {
	return MachineTime{busy: t.busy - before.busy, all: t.all - before.all}
}

// Busy is the part of the time in which the processors were in use, from 0 to 1.
func (t MachineTime) Busy() float64 { return float64(t.busy) / float64(max(1, t.all)) }
