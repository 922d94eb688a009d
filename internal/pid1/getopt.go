package pid1

import (
	"fmt"
	"strings"
)

// option is one flag of a command line.
type option struct {
	short byte   // 0: none
	long  string // "": none
	takes string // the name of its argument; "": none
	usage string
}

func (o option) String() string {
	if o.long != "" {
		return "--" + o.long
	}
	return "-" + string(o.short)
}

// getopt splits a command line as getopt_long(3) does where the first argument
// that isn't a flag ends them: flags of one letter can be bundled, an argument may
// stand in the same word or in the next, and "--" ends the flags. With abbreviate,
// a long flag can be written by the beginning of its name.
func getopt(args []string, options []option, abbreviate bool, seen func(o option, value string) error) (rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		switch {
		case word == "--":
			return args[1:], nil
		case len(word) < 2 || word[0] != '-':
			return args, nil
		}
		args = args[1:]
		if word[1] == '-' {
			args, err = longOption(word[2:], args, options, abbreviate, seen)
		} else {
			args, err = shortOptions(word[1:], args, options, seen)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func longOption(word string, next []string, options []option, abbreviate bool, seen func(option, string) error) ([]string, error) {
	name, value, inWord := strings.Cut(word, "=")
	o, err := findLong(name, options, abbreviate)
	switch {
	case err != nil:
		return nil, err
	case o.takes == "" && inWord:
		return nil, fmt.Errorf("--%s takes no argument", o.long)
	case o.takes != "" && !inWord:
		if len(next) == 0 {
			return nil, fmt.Errorf("--%s needs an argument: %s", o.long, o.takes)
		}
		value, next = next[0], next[1:]
	}
	return next, seen(o, value)
}

func findLong(name string, options []option, abbreviate bool) (found option, err error) {
	var matches int
	for _, o := range options {
		switch {
		case o.long == "":
		case o.long == name:
			return o, nil
		case abbreviate && name != "" && strings.HasPrefix(o.long, name):
			found = o
			matches++
		}
	}
	switch matches {
	case 1:
		return found, nil
	case 0:
		return option{}, fmt.Errorf("unknown flag: --%s", name)
	}
	return option{}, fmt.Errorf("--%s is the beginning of several flags", name)
}

func shortOptions(letters string, next []string, options []option, seen func(option, string) error) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		o, ok := findShort(letters[i], options)
		if !ok {
			return nil, fmt.Errorf("unknown flag: -%s", letters[i:i+1])
		}
		if o.takes == "" {
			if err := seen(o, ""); err != nil {
				return nil, err
			}
			continue
		}
		value := letters[i+1:]
		if value == "" {
			if len(next) == 0 {
				return nil, fmt.Errorf("-%c needs an argument: %s", o.short, o.takes)
			}
			value, next = next[0], next[1:]
		}
		return next, seen(o, value)
	}
	return next, nil
}

func findShort(letter byte, options []option) (option, bool) {
	for _, o := range options {
		if o.short == letter {
			return o, true
		}
	}
	return option{}, false
}
