package importer

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// probe reads a readiness or liveness probe.
func (c *project) probe(n *node, key string) error {
	probe := &object{}
	seconds := func(name string, least int) func(*node) error {
		return func(n *node) error {
			value, err := c.number(n, 0, longestSeconds)
			if err == nil && value >= least {
				probe.set(name, fmt.Sprintf("%ds", value))
			}
			return err
		}
	}
	times := func(name string) func(*node) error {
		return func(n *node) error {
			value, err := c.number(n, 0, 1<<30)
			if err == nil && value > 0 {
				probe.set(name, value)
			}
			return err
		}
	}
	get := func(n *node) error { return c.httpGet(n, probe) }
	ways := 0
	for _, way := range []string{"exec", "http_get", "http"} {
		if n.get(way) != nil {
			ways++
		}
	}
	if ways != 1 {
		c.process.remark(n.remark("foster asks in one way, by exec or http_get: it is left out"))
		return nil
	}
	err := c.each(n, reading{
		"exec": func(n *node) error {
			command := n.get("command")
			if command == nil || command.kind == yaml.ScalarNode && strings.TrimSpace(command.text) == "" || command.kind == yaml.SequenceNode && scalarOf(first(command.items)) == "" {
				return n.wrong("expected the key command")
			}
			exec := &object{}
			exec.set("command", c.shellCommand(command))
			probe.set("exec", exec)
			if dir := n.get("working_dir"); dir != nil {
				c.process.remark(dir.remark("foster runs it in the folder of the application"))
			}
			return nil
		},
		"http_get": get, "http": get,
		"initial_delay_seconds": seconds("initial_delay", 1), "period_seconds": seconds("period", 1), "timeout_seconds": seconds("timeout", 1),
		"success_threshold": times("success_threshold"), "failure_threshold": times("failure_threshold"),
	}, c.process.remark)
	if err == nil {
		c.process.set(key, probe)
	}
	return err
}

func first(items []*node) *node {
	if len(items) == 0 {
		return nil
	}
	return items[0]
}

// httpGet reads a probe by HTTP.
func (c *project) httpGet(n *node, probe *object) error {
	get := &object{}
	text := func(name string) func(*node) error {
		return func(n *node) error {
			if n.text != "" {
				get.set(name, unmarked(c.text(n)))
			}
			return nil
		}
	}
	err := c.each(n, reading{
		"host": text("host"), "path": text("path"),
		"scheme": func(n *node) error {
			if n.text != "http" && n.text != "https" {
				return n.wrong("%q is none of http, https", clip(n.text))
			}
			get.set("scheme", n.text)
			return nil
		},
		"port": func(n *node) error {
			value, err := c.number(n, 1, 65535)
			if err == nil {
				get.set("port", value)
			}
			return err
		},
		"status_code": func(n *node) error {
			value, err := c.number(n, 0, 599)
			if err == nil && value >= 100 {
				get.set("status", value)
			}
			return err
		},
		"method": func(n *node) error {
			if n.text != "GET" {
				c.process.remark(n.remark("foster asks by GET"))
			}
			return nil
		},
		"headers": func(n *node) error {
			headers := &object{}
			for _, f := range n.fields {
				headers.set(f.key, unmarked(c.text(f.value)))
			}
			if len(headers.fields) > 0 {
				get.set("headers", headers)
			}
			return nil
		},
	}, c.process.remark)
	if len(get.fields) == 0 {
		get.set("path", "/")
	}
	probe.set("http_get", get)
	return err
}
