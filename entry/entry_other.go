//go:build !amd64 && !arm64

// Package entry does nothing here: the program begins where Go has it begin.
package entry
