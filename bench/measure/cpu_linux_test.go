package measure

import (
	"os/exec"
	"testing"
	"time"
)

// TestProcessorTime checks that the processor time of a child process is counted, while it runs
// and after it has ended.
func TestProcessorTime(t *testing.T) {
	t.Parallel()
	before := processorTime()
	child := exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read x")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if used := processorTime() - before; used < 50*time.Millisecond {
		t.Errorf("%s while the child runs", used)
	}
	_ = stdin.Close()
	_ = child.Wait()
	if used := processorTime() - before; used < 50*time.Millisecond {
		t.Errorf("%s when the child has ended", used)
	}
}
