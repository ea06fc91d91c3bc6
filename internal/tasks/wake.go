package tasks

// Wake sends a signal on wake, which must have a buffer of one. It never blocks. However
// many signals are sent to a busy receiver, it later receives one.
func Wake(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
