//go:build !race

package childtest

const raceDetector = false
