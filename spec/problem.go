package spec

import (
	"strconv"
	"strings"
)

// A Problem is one thing in a config.json that keeps a container from being
// made of it.
type Problem struct {
	Field string // where, e.g. mounts[3].destination
	Cause string // what is wrong there
	Fix   string // what to do, in a few words
}

// String gives the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	p.write(&b)
	return b.String()
}

func (p Problem) write(b *strings.Builder) {
	b.WriteString(p.Field)
	b.WriteString(": ")
	b.WriteString(p.Cause)
	if p.Fix != "" {
		b.WriteString(": ")
		b.WriteString(p.Fix)
	}
}

// Problems is every problem of one document, in the order of the document's
// sections. It is an error; use Err to hand it on as one, since an empty list
// is no error.
type Problems []Problem

// Error gives the problems in one line: engines show their user the last line
// of what a runtime says, and nothing else. Beyond 25 it only counts them.
func (p Problems) Error() string { return p.Line("config.json") }

// lineMax is how many problems are spelt out in one line. A document with more
// is not one that somebody mends by reading an error.
const lineMax = 25

// Line is Error for a document of another name, such as the process.json of
// exec.
func (p Problems) Line(document string) string {
	var b strings.Builder
	if len(p) != 1 {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteString(" problems in ")
	}
	b.WriteString(document)
	for i := range p {
		switch i {
		case 0:
			b.WriteString(": ")
		case lineMax:
			b.WriteString("; and " + strconv.Itoa(len(p)-lineMax) + " more")
			return b.String()
		default:
			b.WriteString("; ")
		}
		p[i].write(&b)
	}
	return b.String()
}

// Err gives the problems as an error, or nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
