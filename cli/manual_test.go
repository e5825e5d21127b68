package cli

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

var update = flag.Bool("update", false, "write what of the manual follows from the command line anew")

// manualFolder has a page for berth and one for each command.
const manualFolder = "../docs/man"

// A manual page's sections NAME, SYNOPSIS and OPTIONS (for berth itself COMMANDS too) follow from the command line;
// the others are written by hand.
func TestManual(t *testing.T) {
	root := (&app{}).command(nil)
	pages := []string{"berth.8"}
	checkPage(t, "berth.8", [][2]string{
		{"NAME", `berth \- ` + roff(root.Usage) + "\n"},
		{"SYNOPSIS", ".B berth\n[\\fIglobal option\\fR ...] \\fIcommand\\fR [\\fIargument\\fR ...]\n"},
		{"OPTIONS", options(root)},
		{"COMMANDS", commandList(root)},
	})
	for _, c := range root.Commands {
		if c.Name == "help" {
			continue // the library's own
		}
		name := "berth-" + c.Name + ".8"
		pages = append(pages, name)
		checkPage(t, name, [][2]string{
			{"NAME", roff("berth-"+c.Name) + ` \- ` + roff(c.Usage) + "\n"},
			{"SYNOPSIS", synopsis(c)},
			{"OPTIONS", options(c)},
		})
	}
	entries, err := os.ReadDir(manualFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(pages, e.Name()) {
			t.Errorf("%s: there is no such command: remove it", e.Name())
		}
	}
}

// checkPage compares the sections that follow from the command line; with -update it writes them, and a page to begin
// with where there is none.
func checkPage(t *testing.T, name string, generated [][2]string) {
	t.Helper()
	path := filepath.Join(manualFolder, name)
	data, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Errorf("%v: run `go test ./cli -run TestManual -update`, then write what is missing", err)
		return
	}
	page := string(data)
	title := strings.ToUpper(strings.TrimSuffix(name, ".8"))
	if page == "" {
		page = ".TH " + roff(title) + " 8 \"\" berth \"berth manual\"\n.SH NAME\n.SH SYNOPSIS\n.SH DESCRIPTION\n.SH OPTIONS\n"
	}
	for _, g := range generated {
		head := ".SH " + g[0] + "\n"
		begin := strings.Index(page, head)
		if begin < 0 {
			t.Errorf("%s has no section %s", name, g[0])
			return
		}
		begin += len(head)
		end := len(page)
		if next := strings.Index(page[begin:], ".SH "); next >= 0 {
			end = begin + next
		}
		if page[begin:end] == g[1] {
			continue
		}
		if !*update {
			t.Errorf("%s: %s is not what the command line has: run `go test ./cli -run TestManual -update`\nhas:\n%swant:\n%s", name, g[0], page[begin:end], g[1])
		}
		page = page[:begin] + g[1] + page[end:]
	}
	checkRoff(t, name, page)
	if *update && page != string(data) {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// requests are the ones of man(7) that the pages may use.
var requests = []string{".TH", ".SH", ".TP", ".PP", ".B", ".BR", ".I", ".IR", ".EX", ".EE", ".RS", ".RE", ".IP", ".br"}

// checkRoff finds what would be shown otherwise than it is meant.
func checkRoff(t *testing.T, name, page string) {
	t.Helper()
	example := 0
	described := false
	for i, line := range strings.Split(strings.TrimSuffix(page, "\n"), "\n") {
		request, _, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			t.Errorf("%s:%d: an empty line: use .PP", name, i+1)
		case strings.HasPrefix(line, "."):
			if !slices.Contains(requests, request) {
				t.Errorf("%s:%d: %s is no request that is used here", name, i+1, request)
			}
			switch request {
			case ".EX":
				example++
			case ".EE":
				example--
			}
		case strings.HasPrefix(line, "'"):
			t.Errorf("%s:%d: begins with a quote, which is a request's sign", name, i+1)
		}
		if plainDash.MatchString(line) && !strings.HasPrefix(line, ".TH") {
			t.Errorf("%s:%d: a dash of a flag without its backslash: %s", name, i+1, line)
		}
		if strings.HasPrefix(line, ".SH DESCRIPTION") {
			described = !strings.Contains(page, line+"\n.SH ")
		}
	}
	if example != 0 {
		t.Errorf("%s: .EX and .EE do not match", name)
	}
	if !described {
		t.Errorf("%s: DESCRIPTION is empty: write it", name)
	}
}

// plainDash is a flag as it must not be written: man would show a hyphen that cannot be copied.
var plainDash = regexp.MustCompile(`(^|[ ([])--?[a-z]+`)

var upper = regexp.MustCompile(`[A-Z][A-Z0-9]+`)

// roff quotes what man would read as its own.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", " ...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func synopsis(c *cli.Command) string {
	text := ".B berth\n[\\fIglobal option\\fR ...] \\fB" + roff(c.Name) + "\\fR"
	if len(shown(c.Flags)) > 0 {
		text += " [\\fIoption\\fR ...]"
	}
	if c.ArgsUsage != "" {
		text += " " + upper.ReplaceAllStringFunc(roff(c.ArgsUsage), func(word string) string { return `\fI` + word + `\fR` })
	}
	return text + "\n"
}

// shown are the flags that are not hidden.
func shown(flags []cli.Flag) []cli.Flag {
	var out []cli.Flag
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); ok && v.IsVisible() && f.Names()[0] != "help" {
			out = append(out, f)
		}
	}
	return out
}

// options lists the flags with what is said of each.
func options(c *cli.Command) string {
	var b strings.Builder
	for _, f := range shown(c.Flags) {
		d := f.(cli.DocGenerationFlag)
		usage := d.GetUsage()
		value := ""
		if d.TakesValue() {
			value = "VALUE"
			if before, rest, ok := strings.Cut(usage, "`"); ok {
				var after string
				value, after, _ = strings.Cut(rest, "`")
				usage = before + value + after
			}
		}
		var forms []string
		for _, n := range f.Names() {
			form := `\fB` + roff(map[bool]string{true: "-", false: "--"}[len(n) == 1]+n) + `\fR`
			if value != "" {
				form += ` \fI` + roff(value) + `\fR`
			}
			forms = append(forms, form)
		}
		if value != "" {
			usage = strings.ReplaceAll(roff(usage), roff(value), `\fI`+roff(value)+`\fR`)
		} else {
			usage = roff(usage)
		}
		if m, ok := f.(cli.DocGenerationMultiValueFlag); ok && m.IsMultiValueFlag() {
			usage += "; may be given again"
		}
		if text := d.GetDefaultText(); d.TakesValue() && text != "" && text != `""` && text != "0" {
			usage += " (default: " + roff(strings.Trim(text, `"`)) + ")"
		}
		b.WriteString(".TP\n" + strings.Join(forms, ", ") + "\n" + usage + "\n")
	}
	b.WriteString(".TP\n\\fB\\-\\-help\\fR, \\fB\\-h\\fR\nshow help\n")
	return b.String()
}

func commandList(root *cli.Command) string {
	var b strings.Builder
	for _, c := range root.Commands {
		if c.Name != "help" && !c.Hidden {
			b.WriteString(".TP\n.BR " + roff("berth-"+c.Name) + " (8)\n" + roff(c.Usage) + "\n")
		}
	}
	return b.String()
}
