package tasks

// Wake sends a signal on wake, which holds one, and never blocks. A receiver
// that is busy finds one signal later, however many were sent.
func Wake(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
