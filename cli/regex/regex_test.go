package regex

import (
	"regexp"
	"strings"
	"testing"
)

var expressions = []string{
	"", "a", "abc", "a|b", "a|", "|", "()", "(a)", "(?:a|bc)*", "a*", "a+?", "a??", "a{2}", "a{2,}", "a{0,3}?", "a{,2}", "a{", "a{x}", "{2}", "a{01}", "a{1001}", "a{3,2}",
	"web-[0-9]+", "^web$", "^*a", "$", "a^b", "(a|b)*abb", "[a-c]", "[^a-c]", "[]a]", "[^]a]", "[a-]", "[-a]", "[a-b-c]", "[\\w-z]", "[z-a]", "[a", "[[:alpha:]_]+", "[[:^digit:]]", "[[:foo:]]", "[[:", "[[:a]",
	"\\d+", "\\D\\S\\W", "[\\d\\s]", "\\.", "\\_", "\\-", "\\", "\\A\\w\\z", "\\ba\\b", "\\Ba", "[\\b]", "\\Qa\\E", "\\pL", "\\x41", "\\101", "\\1", "a**", "a*{2}", "*", "(*)", "a|*", "(", ")", "(a", "a)", "(?i)a", "(?P<n>a)", "(?<n>a)", "(?",
	"(a*)*", "((a?){3}){3}", "(a|){5}b", "(?:){1000}", "]", "}", "é", "[é]", "[a-é]", "\xff", "(a{1000}){1000}", ".*", "x.y", "\\n", "[\\n]", "(a|ab)(c|bcd)(d*)", "(^|-)a", "a($|-b)", strings.Repeat("(", 120) + strings.Repeat(")", 120),
	"[\\D]", "[^\\W]", "[[:punct:]]", "[[:^word:]]+", "[^[:space:]]*", "(?:a{0}b){2,3}", "a{0}", "{", "a{1", "a{1,", "a{1,2", "a\\{1}", "[+-.]", "[--a]", "[a-\\d]", "^(?:a|b)$|c",
}

var texts = []string{"", "a", "b", "ab", "abc", "aa", "aaa", "aaaa", "web-1", "web-12", "web", "a-b", "a.b", "A_1+", "x.y", "xzy", "abb", "babb", "abcd", "-", "_", "0", "aab", "bb", "web-1.web", "z", "a{", "a{1}", "{", "n"}

// What is understood here is understood by regexp too, and means the same.
func TestAsRegexp(t *testing.T) {
	for _, expr := range expressions {
		for _, text := range texts {
			compare(t, expr, text)
		}
	}
}

func compare(t *testing.T, expr, text string) {
	r, err := Compile(expr)
	if err != nil {
		return
	}
	// In a group of its own first: ")(" would be right inside of another.
	if _, err := regexp.Compile(expr); err != nil {
		if strings.Contains(err.Error(), "nests too deeply") || strings.Contains(err.Error(), "too large") || strings.Contains(err.Error(), "invalid repeat count") {
			return // (a{1000}){1000}, which costs nothing here
		}
		t.Fatalf("%q is read, where regexp says: %v", expr, err)
	}
	want, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return
	}
	if got := r.Match(text); got != want.MatchString(text) {
		t.Errorf("%q matches %q: %v, regexp says %v", expr, text, got, want.MatchString(text))
	}
}

// What regexp takes is taken here too, but for these, whose error tells the part.
func TestCompile(t *testing.T) {
	for _, expr := range expressions {
		_, err := Compile(expr)
		_, theirs := regexp.Compile(expr)
		beyond := strings.HasPrefix(expr, "(?") && !strings.HasPrefix(expr, "(?:") ||
			strings.HasPrefix(expr, "\\Q") || strings.HasPrefix(expr, "\\p") || strings.HasPrefix(expr, "\\x") || strings.HasPrefix(expr, "\\10") ||
			strings.Count(expr, "(") > maxDepth
		if err != nil && theirs == nil && !beyond {
			t.Errorf("%q: %v, where regexp takes it", expr, err)
		}
		if err == nil && beyond {
			t.Errorf("%q is taken", expr)
		}
	}
	for expr, want := range map[string]string{
		"a)":        `")" closes no group: write \) for the character`,
		"x(a":       `"(a" is not closed: add a ), or write \( for the character`,
		"*":         `'*' repeats nothing: write \* for the character`,
		"a+*":       `"+*" repeats a repetition: put the first in parentheses`,
		"a{3,2}":    `{3,2}: want numbers up to 1000, the smaller one first`,
		"[b-a]":     `b-a, in "[b-a]": want the smaller one first`,
		"[a":        `"[a" is not closed: add a ], or write \[ for the character`,
		"[[:foo:]]": `[:foo:] is no class: use one of regex(7), such as [:alpha:]`,
		`a\`:        `a backslash at the end stands before nothing`,
		`a\pL`:      `\p is not understood here`,
		"(?i)a":     `"(?i)a": of the groups that begin with (? only (?: is understood here`,
		"\xff":      `"\xff" is not UTF-8`,
	} {
		if _, err := Compile(expr); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", expr, err, want)
		}
	}
}

// No expression takes long, however its repetitions are nested.
func TestNested(t *testing.T) {
	for _, expr := range []string{"(((((a*)*)*)*)*)*b", "((((a{1000}){1000}){1000}){1000})", "((((a?){1000}){1000}){1000}){1000}b", "(a|aa|aaa)*(a|aa)*c"} {
		r, err := Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		if r.Match(strings.Repeat("a", 500)) {
			t.Errorf("%s matches", expr)
		}
	}
	r, err := Compile("a*")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Match(strings.Repeat("a", maxText)) || r.Match(strings.Repeat("a", maxText+1)) {
		t.Error("the longest text matches, and no longer one")
	}
}

func FuzzMatch(f *testing.F) {
	for i, expr := range expressions {
		f.Add(expr, texts[i%len(texts)])
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(expr) > 60 || len(text) > 60 {
			return
		}
		for i := range len(text) {
			if c := text[i]; !word.has(c) && !strings.ContainsRune("+-.", rune(c)) {
				return // no id
			}
		}
		compare(t, expr, text)
	})
}
