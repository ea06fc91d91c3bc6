//go:build race

package childtest

const raceDetector = true
