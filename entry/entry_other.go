//go:build !amd64 && !arm64

// Package entry does nothing here: the program begins where Go has it begin.
package entry

// RestoreTimerSlack does nothing here: the timer slack is as it was.
func RestoreTimerSlack() {}
