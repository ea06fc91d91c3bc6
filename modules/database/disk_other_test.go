//go:build !linux

package database_test

import "testing"

func smallDisk(t *testing.T) string {
	t.Helper()
	t.Skip("there is no way to mount a small disk")
	return ""
}
