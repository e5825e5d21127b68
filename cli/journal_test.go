package cli

import (
	"log/slog"
	"testing"
)

func TestSeverity(t *testing.T) {
	for level, want := range map[slog.Level]int{
		slog.LevelDebug: 7, slog.LevelInfo: 6, slog.LevelWarn: 4, slog.LevelError: 3, slog.LevelError + 4: 3,
	} {
		if got := severity(level); got != want {
			t.Errorf("%v: got %d, want %d", level, got, want)
		}
	}
}
