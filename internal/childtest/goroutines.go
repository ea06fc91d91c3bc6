package childtest

import (
	"time"

	"go.uber.org/goleak"
)

// endWithin is the time that goroutines have to end on a busy machine.
const endWithin = 30 * time.Second

// VerifyMain is [goleak.VerifyTestMain] with more time for goroutines to end.
func VerifyMain(m goleak.TestingM, opts ...goleak.Option) {
	goleak.VerifyTestMain(patient{m, opts}, opts...)
}

type patient struct {
	goleak.TestingM
	opts []goleak.Option
}

// Run implements [goleak.TestingM].
func (p patient) Run() int {
	code := p.TestingM.Run()
	for end := time.Now().Add(endWithin); code == 0 && goleak.Find(p.opts...) != nil && time.Now().Before(end); {
		continue // Find waits for a moment
	}
	return code
}
