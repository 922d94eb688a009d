//go:build linux

package main

import "errors"

func init() { modes["trees"] = trees }

// trees runs random trees.
func trees(options) (failed bool, err error) { return false, errors.New("not there yet") }
