//go:build linux

package process

import "testing"

func TestMachineTime(t *testing.T) {
	t.Parallel()
	before, err := machineTime([]byte("cpu  10 0 10 100 0 0 0 0 5 0\ncpu0 1 2 3 4 5 6 7 8 9\n"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := machineTime([]byte("cpu  20 10 20 130 20 10 5 5 15 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Since(before).Busy(); got != 0.5 {
		t.Errorf("busy to %v", got)
	}
	if _, err := machineTime([]byte("intr 1 2 3\n")); err == nil {
		t.Error("read a file that does not exist")
	}
	if _, err := Machine(); err != nil {
		t.Error(err)
	}
}
