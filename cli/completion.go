package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
)

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes berth's command line in a shell",
		ArgsUsage: "SHELL",
		Description: "SHELL is bash, zsh or fish:\n\n" +
			"    bash: berth completion bash > /etc/bash_completion.d/berth\n" +
			"    zsh:  berth completion zsh > \"${fpath[1]}/_berth\"\n" +
			"    fish: berth completion fish > ~/.config/fish/completions/berth.fish",
		Action: func(_ context.Context, c *cli.Command) error {
			if n := c.Args().Len(); n != 1 {
				return fmt.Errorf("completion takes the name of a shell, not %d arguments: use bash, zsh or fish", n)
			}
			line := completable(a.command(nil))
			var script string
			switch shell := c.Args().First(); shell {
			case "bash":
				script = bashCompletion(line)
			case "zsh":
				script = zshCompletion(line)
			case "fish":
				script = fishCompletion(line)
			default:
				return fmt.Errorf("completion for %q: there is none: use bash, zsh or fish", shell)
			}
			_, err := os.Stdout.WriteString(script)
			return err
		},
	}
}

// completion is what a shell has to know of a command.
type completion struct {
	name, usage string
	flags       []flagCompletion
	ids         bool // an argument is the id of a container that exists
	commands    []completion
}

// flagCompletion is a flag: names without their dashes, the long one first.
type flagCompletion struct {
	names []string
	usage string
	value string // what it takes, such as FILE; "" for none
}

// completable gathers what shells are told of a command and those below it.
func completable(c *cli.Command) completion {
	out := completion{name: c.Name, usage: c.Usage}
	for _, f := range c.Flags {
		if visible, ok := f.(cli.VisibleFlag); ok && !visible.IsVisible() {
			continue
		}
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		before, rest, _ := strings.Cut(doc.GetUsage(), "`")
		value, after, _ := strings.Cut(rest, "`")
		flag := flagCompletion{names: f.Names(), usage: before + value + after}
		if doc.TakesValue() {
			flag.value = value
			if value == "" {
				flag.value = "VALUE"
			}
		}
		out.flags = append(out.flags, flag)
	}
	if argument, _, _ := strings.Cut(c.ArgsUsage, " "); argument == "ID" {
		out.ids = c.Name != "create" && c.Name != "run" && c.Name != "restore"
	}
	for _, sub := range c.Commands {
		out.commands = append(out.commands, completable(sub))
	}
	return out
}

// dashed writes a flag's names as they are given.
func (f *flagCompletion) dashed() []string {
	out := make([]string, len(f.names))
	for i, n := range f.names {
		out[i] = "--" + n
		if len(n) == 1 {
			out[i] = "-" + n
		}
	}
	return out
}

// file says whether the flag's value is a path.
func (f *flagCompletion) file() bool {
	switch f.value {
	case "FILE", "FOLDER", "DIR", "SOCKET":
		return true
	}
	return false
}

// flagWords lists the flags of c, those with a value, and those whose value is a
// path.
func flagWords(c *completion) (all, valued, files []string) {
	for i := range c.flags {
		words := c.flags[i].dashed()
		all = append(all, words...)
		if c.flags[i].value != "" {
			valued = append(valued, words...)
		}
		if c.flags[i].file() {
			files = append(files, words...)
		}
	}
	return all, valued, files
}

// bashCompletion finds the command among the words before the cursor and offers
// its flags, and containers where it takes them.
func bashCompletion(root completion) string {
	var names []string
	var cases strings.Builder
	for i := range root.commands {
		c := &root.commands[i]
		names = append(names, c.name)
		all, valued, files := flagWords(c)
		ids := ""
		if c.ids {
			ids = " ids=1"
		}
		fmt.Fprintf(&cases, "    %s) flags=%q valued=%q files=%q%s ;;\n", c.name,
			strings.Join(append(all, "--help"), " "), strings.Join(valued, " "), strings.Join(files, " "), ids)
	}
	all, valued, files := flagWords(&root)
	return fmt.Sprintf(`# bash completion for berth
_berth() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command= flags valued files ids= root=() i
    local rootvalued=%q
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --root) root=(--root "${COMP_WORDS[i+1]}"); i=$((i + 1)) ;;
        -*) [[ " $rootvalued " == *" ${COMP_WORDS[i]} "* ]] && i=$((i + 1)) ;;
        *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $command in
    '') flags=%q valued=$rootvalued files=%q ;;
%s    *) return ;;
    esac
    if [[ " $files " == *" $prev "* ]]; then
        COMPREPLY=($(compgen -f -- "$cur"))
    elif [[ " $valued " == *" $prev "* ]]; then
        COMPREPLY=()
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [[ -z $command ]]; then
        COMPREPLY=($(compgen -W %q -- "$cur"))
    elif [[ -n $ids ]]; then
        COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "${root[@]}" list --quiet 2>/dev/null)" -- "$cur"))
    fi
}
complete -o filenames -F _berth berth
`, strings.Join(valued, " "), strings.Join(append(all, "--help"), " "), strings.Join(files, " "), cases.String(),
		strings.Join(append(names, "help"), " "))
}

// zshCompletion leaves the work to _arguments of zshcompsys(1).
func zshCompletion(root completion) string {
	var b strings.Builder
	b.WriteString("#compdef berth\n\n_berth_containers() {\n    local -a ids=(${(f)\"$(berth ${berth_root[@]} list --quiet 2>/dev/null)\"})\n" +
		"    compadd -a ids\n}\n\n_berth() {\n    local state line\n    local -a berth_root commands=(\n")
	for i := range root.commands {
		fmt.Fprintf(&b, "        %s\n", quoted(root.commands[i].name+":"+strings.ReplaceAll(root.commands[i].usage, ":", `\:`)))
	}
	b.WriteString("    )\n    typeset -A opt_args\n    _arguments -C")
	zshFlags(&b, &root)
	b.WriteString(" \\\n        '1:command:->command' '*::argument:->argument'\n" +
		"    [[ -n ${opt_args[--root]} ]] && berth_root=(--root ${opt_args[--root]})\n" +
		"    case $state in\n    command) _describe command commands ;;\n    argument)\n        case $words[1] in\n")
	for i := range root.commands {
		c := &root.commands[i]
		fmt.Fprintf(&b, "        %s) _arguments", c.name)
		zshFlags(&b, c)
		if c.ids {
			b.WriteString(" \\\n        '*:container:_berth_containers'")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("        esac ;;\n    esac\n}\n\n_berth \"$@\"\n")
	return b.String()
}

func zshFlags(b *strings.Builder, c *completion) {
	plain := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)
	for i := range c.flags {
		f := &c.flags[i]
		value := ""
		if f.value != "" {
			value = ":" + f.value + ":"
			if f.file() {
				value += "_files"
			}
		}
		for _, name := range f.dashed() {
			if value != "" && strings.HasPrefix(name, "--") {
				name += "=" // its value in the same word, or the next
			}
			fmt.Fprintf(b, " \\\n        %s", quoted(name+"["+plain.Replace(f.usage)+"]"+value))
		}
	}
}

// quoted puts a text in single quotes, for any shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishCompletion has a line for each command and flag.
func fishCompletion(root completion) string {
	var b strings.Builder
	var names []string
	for i := range root.commands {
		names = append(names, root.commands[i].name)
	}
	b.WriteString("# fish completion for berth\ncomplete -c berth -f\n")
	fmt.Fprintf(&b, "set -l berth_commands %s\n", strings.Join(names, " "))
	fishFlags(&b, &root, "not __fish_seen_subcommand_from $berth_commands")
	for i := range root.commands {
		c := &root.commands[i]
		fmt.Fprintf(&b, "complete -c berth -n \"not __fish_seen_subcommand_from $berth_commands\" -a %s -d %s\n", c.name, fishQuoted(c.usage))
		fishFlags(&b, c, "__fish_seen_subcommand_from "+c.name)
		if c.ids {
			fmt.Fprintf(&b, "complete -c berth -n \"__fish_seen_subcommand_from %s\" -a \"(berth list --quiet 2>/dev/null)\"\n", c.name)
		}
	}
	return b.String()
}

func fishFlags(b *strings.Builder, c *completion, when string) {
	for i := range c.flags {
		f := &c.flags[i]
		fmt.Fprintf(b, "complete -c berth -n \"%s\"", when)
		for _, n := range f.names {
			if len(n) == 1 {
				b.WriteString(" -s " + n)
			} else {
				b.WriteString(" -l " + n)
			}
		}
		switch {
		case f.file():
			b.WriteString(" -r -F")
		case f.value != "":
			b.WriteString(" -x")
		}
		b.WriteString(" -d " + fishQuoted(f.usage) + "\n")
	}
}

// fishQuoted puts a text in single quotes as fish has them.
func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
