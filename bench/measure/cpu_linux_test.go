package measure

import (
	"os/exec"
	"testing"
	"time"
)

// What a child used counts, while it runs and when it has ended.
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
