// Package manual gives tests what the documentation tells a reader to type, so that it is tried as it stands there.
package manual

import (
	"os"
	"strings"
	"testing"
)

// EnginesBlock is the block of docs/engines.md that follows a line which ends with `NAME`: (and an empty one), with
// /usr/local/bin/berth replaced by the runtime under test. The test's package is two folders below the module's.
func EnginesBlock(t testing.TB, name, runtime string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "`"+name+"`:\n\n```")
	_, after, _ = strings.Cut(after, "\n")
	block, _, closed := strings.Cut(after, "\n```")
	if !found || !closed {
		t.Fatalf("docs/engines.md has no block that follows `%s`:", name)
	}
	return strings.ReplaceAll(block, "/usr/local/bin/berth", runtime) + "\n"
}
