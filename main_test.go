package main

import (
	"os"
	"testing"
)

// What entry adds to the environment goes, what the user has there stays.
func TestForgetEntry(t *testing.T) {
	for value, stays := range map[string]bool{"01": false, "1": true, "8": true, "": true} {
		t.Setenv("GOMAXPROCS", value)
		forgetEntry()
		if got, ok := os.LookupEnv("GOMAXPROCS"); ok != stays || ok && got != value {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}
