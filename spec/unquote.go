package spec

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote resolves the escapes in the inside of a JSON string and replaces
// what is no UTF-8 by U+FFFD, both as encoding/json does. It reports false on
// an escape that JSON does not have; what comes before it is given.
func unquote(s string) (string, bool) {
	if strings.IndexByte(s, '\\') < 0 && utf8.ValidString(s) {
		return s, true
	}
	b := make([]byte, 0, len(s)+2*utf8.UTFMax)
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\':
			n := escapeLen(s[i:])
			if n == 0 {
				return string(b), false
			}
			r := escaped(s[i : i+n])
			i += n
			if utf16.IsSurrogate(r) {
				// Half a character: it counts only together with its other half.
				low := rune(-1)
				if escapeLen(s[i:]) == 6 {
					low = escaped(s[i : i+6])
				}
				if r = utf16.DecodeRune(r, low); r != unicode.ReplacementChar {
					i += 6
				}
			}
			b = utf8.AppendRune(b, r)
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return string(b), true
}

// escapeLen gives the length of the escape that s begins with: 2, 6 for
// \uXXXX, 0 when it is none.
func escapeLen(s string) int {
	if len(s) < 2 || s[0] != '\\' {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) < 6 {
			return 0
		}
		for i := 2; i < 6; i++ {
			if c := s[i]; c-'0' > 9 && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// escaped gives the character that an escape stands for.
func escaped(s string) rune {
	switch s[1] {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
		n, _ := strconv.ParseUint(s[2:], 16, 16) // escapeLen has seen four digits
		return rune(n)
	}
	return rune(s[1])
}

// controlEscape gives the way to write a control character in JSON.
func controlEscape(c byte) string {
	switch c {
	case '\t':
		return `\t`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	}
	const hex = "0123456789abcdef"
	return `\u00` + string(hex[c>>4]) + string(hex[c&15])
}
