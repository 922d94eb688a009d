package config

import (
	"sync"
	"time"
)

// project is a project while it is read.
type project struct {
	Project
	environment place
	envFiles    place
	apps        place
}

// projectNames are what other programs call our keys.
var projectNames = map[string]string{
	"processes": "apps", "services": "apps", "programs": "apps", "applications": "apps", "app": "apps", "process": "apps",
	"version": "leave it out: foster.yaml has no version", "env": "environment", "env_files": "env_file", "dotenv": "env_file",
	"log": "logs", "logging": "logs", "log_level": "logs", "log_location": "logs", "log_configuration": "logs",
	"includes": "include", "imports": "include", "extends": "include", "shell": "an application has the key shell",
	"project": "name", "grace_period": "grace", "ordered_shutdown": "leave it out: a stop is always in order",
}

// appsSchema is a map of applications.
func appsSchema() *Schema {
	return &Schema{
		Type: "object", AdditionalProperties: false,
		PatternProperties: map[string]*Schema{`^\.?[A-Za-z0-9][A-Za-z0-9_.-]*$`: appShape().schema},
	}
}

var projectShape = sync.OnceValue(func() shape[project] {
	return mapOf(projectNames,
		at("name", text(), func(p *project) *string { return &p.Name }, "The name of the project; by default that of the folder."),
		at("grace", duration(), func(p *project) *time.Duration { return &p.Grace }, "How long the applications outlive a supervisor that is gone.").or("1h"),
		at("group", text(), func(p *project) *string { return &p.Group }, "The group of users who may control the supervisor; by default only its own user may."),
		at("metrics", text(), func(p *project) *string { return &p.Metrics }, "The address at which Prometheus gets metrics, as 127.0.0.1:9090; by default only the control socket has them."),
		at("env_file", raw(filesSchema()), func(p *project) *place { return &p.envFiles }, "Files of NAME=value lines for the environment of all applications."),
		at("environment", raw(environmentSchema()), func(p *project) *place { return &p.environment }, "Variables for all applications."),
		at("history", history(), func(p *project) *History { return &p.History }, "How much is kept of runs that are over.").or("{}"),
		at("logs", logs(), func(p *project) *Logs { return &p.Logs }, "What is kept of the applications' output.").or("{}"),
		at("include", raw(filesSchema()), func(p *project) *place { return new(place) }, "Other files that are merged with this one, which has the last word."),
		at("apps", raw(appsSchema()), func(p *project) *place { return &p.apps }, "The applications, by name. One whose name begins with a dot is not run: it is there to be extended."),
	)
})

func history() shape[History] {
	return mapOf(map[string]string{"max_runs": "runs", "count": "runs", "max_age": "age"},
		at("runs", integer(1), func(h *History) *int { return &h.Runs }, "How many runs of each replica are kept.").or("100"),
		at("age", duration(), func(h *History) *time.Duration { return &h.Age }, "For how long they are kept; 0: for ever.").or("30d"),
	)
}
