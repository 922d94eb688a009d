package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// What the commands about the applications of a project share.

// withProject connects to the project's supervisor and does something with it.
func (p *projectFlags) withProject(ctx context.Context, do func(*client.Client) error) error {
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return failedError(do(c))
}

// withApps is withProject for a command about applications.
func (p *projectFlags) withApps(ctx context.Context, names []string, do func(*client.Client, []client.Target) error) error {
	return p.withProject(ctx, func(c *client.Client) error {
		of, err := aims(ctx, c, names)
		if err != nil {
			return err
		}
		return unknownAmong(ctx, c, names, do(c, of))
	})
}

// completionTime bounds how long a completion asks a supervisor.
const completionTime = 2 * time.Second

// completeApps completes the names of applications: those of the supervisor, else those
// of the files.
func completeApps(p *projectFlags) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		names := slices.DeleteFunc(p.appNames(cmd.Context()), func(n string) bool { return slices.Contains(args, n) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeApp completes the name of one application, as the first argument.
func completeApp(p *projectFlags) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeApps(p)(cmd, args, typed)
	}
}

// appNames are the names of the applications, and of the replicas where there are
// several.
func (p *projectFlags) appNames(ctx context.Context) (names []string) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	if c, err := p.dial(ctx); err == nil {
		defer c.Close()
		if status, err := c.Status(ctx); err == nil {
			for _, a := range status.Apps {
				names = append(names, replicaNames(a.Name, a.Replicas)...)
			}
			return names
		}
	}
	project, err := p.load()
	if err != nil {
		return nil
	}
	for _, a := range project.Apps {
		names = append(names, replicaNames(a.Name, a.Replicas)...)
	}
	return names
}

func replicaNames(app string, replicas int) []string {
	names := []string{app}
	for n := 1; n <= replicas && replicas > 1; n++ {
		names = append(names, app+"."+strconv.Itoa(n))
	}
	return names
}

// everything is all applications of a project.
var everything = []client.Target{{All: true}}

// someApps wants at least one application, or --all.
func someApps(all *bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && !*all:
			return usageError{hinted{fmt.Errorf("%s needs the name of an application", cmd.CommandPath()), cmd.CommandPath() + " --all is for all of them"}}
		case len(args) > 0 && *all:
			return usageError{fmt.Errorf("--all: %q is one of them", args[0])}
		}
		return nil
	}
}

// aims reads the names of applications, or of their replicas, as web.2. An application
// of such a name goes before a replica.
func aims(ctx context.Context, c *client.Client, names []string) (list []client.Target, err error) {
	var status client.Status
	if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, ".") }) {
		if status, err = c.Status(ctx); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		list = append(list, aimAt(name, status.Apps))
	}
	return list, nil
}

func aimAt(name string, apps []client.App) client.Target {
	app, n := splitReplica(name)
	if n == 0 || slices.ContainsFunc(apps, func(a client.App) bool { return a.Name == name }) {
		return client.Target{App: name}
	}
	return client.Target{App: app, Replica: n}
}

// splitReplica takes the number from the name of a replica; 0: it has none.
func splitReplica(name string) (app string, replica int) {
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		if n, err := strconv.Atoi(name[dot+1:]); err == nil && n > 0 {
			return name[:dot], n
		}
	}
	return name, 0
}

// aimsIn is aims with a status at hand; that each names somebody is checked.
func aimsIn(status client.Status, names []string) (list []client.Target, err error) {
	for _, name := range names {
		list = append(list, aimAt(name, status.Apps))
	}
	_, err = chosen(status, list)
	return list, err
}

// chosen are the instances in a status that targets name; none: all.
func chosen(status client.Status, of []client.Target) (list []client.Instance, err error) {
	for _, t := range of {
		n := len(list)
		for _, a := range status.Apps {
			for _, i := range a.Instances {
				if a.Name == t.App && (t.Replica == 0 || t.Replica == i.Replica) {
					list = append(list, i)
				}
			}
		}
		if len(list) == n && !slices.ContainsFunc(status.Apps, func(a client.App) bool { return a.Name == t.App && t.Replica == 0 }) {
			return nil, unknownApp{name: targetName(t), apps: status.Apps}
		}
	}
	if len(of) > 0 {
		return list, nil
	}
	for _, a := range status.Apps {
		list = append(list, a.Instances...)
	}
	return list, nil
}

func targetName(t client.Target) string {
	if t.Replica == 0 {
		return t.App
	}
	return t.App + "." + strconv.Itoa(t.Replica)
}
