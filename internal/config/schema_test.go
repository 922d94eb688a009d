package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/foster-init/foster"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write doc/foster.schema.json")

const publishedSchema = "../../doc/foster.schema.json"

func TestSchemaIsPublished(t *testing.T) {
	if *update {
		if err := os.WriteFile(publishedSchema, JSONSchema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(publishedSchema)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(published, JSONSchema()) {
		t.Error("doc/foster.schema.json isn't what the code says: go test ./internal/config -run Schema -update")
	}
}

func TestEachKeyIsDescribed(t *testing.T) {
	var walk func(path string, s *Schema)
	walk = func(path string, s *Schema) {
		if s == nil {
			return
		}
		for name, p := range s.Properties {
			if !strings.HasSuffix(p.Description, ".") && !strings.HasSuffix(p.Description, `".`) {
				t.Errorf("%s.%s is described as %q", path, name, p.Description)
			}
			walk(path+"."+name, p)
		}
		for _, p := range s.PatternProperties {
			walk(path+".*", p)
		}
		for _, a := range s.AnyOf {
			walk(path, a)
		}
		walk(path, s.Items)
	}
	walk("", rootSchema())
}

// compiled is the schema as an independent validator reads it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("foster.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("foster.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds a text against the schema.
func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// everyKey has each key of foster.yaml, some in several forms.
const everyKey = `
name: shop
grace: 30s
group: admin
metrics: 127.0.0.1:9090
env_file: []
environment: {A: b, N: 1, T: true, E: }
history: {runs: 100, age: 30d}
logs: {format: json, max_size: 10M, max_age: 7d, max_files: 5, compress: true, on_full: drop, disabled: false}
include: []
x-mine: {a: b}
apps:
  .base: {restart: always, environment: [A=b]}
  db: {command: [db, 1, true], notify: true, lease: 10m, watch: a, restart: "no", stop: {timeout: 0}, sockets: {address: ":80"}}
  line: {command: x, depends_on: [db], schedule: "@daily", watch: [a, b], shell: /bin/bash, readiness_probe: {log_line: up}, liveness_probe: {tcp: 80}}
  daemon: {command: x, forking: true, start_timeout: 1m, remain_after_exit: true, restart: "no", ends_project: on_failure, stdin: open}
  web:
    extends: {app: .base}
    description: text
    command: prog "an argument"
    shell: true
    working_dir: .
    environment: [A=b]
    env_file: []
    port: 8000
    user: 1000
    group: www
    supplementary_groups: [adm, 27]
    umask: "022"
    rlimits: {nofile: "1024:4096", core: 0}
    limits: {memory: 512M, cpu: 1.5, pids: 100, optional: true}
    containment: auto
    until: tree
    on_leader_loss: restart
    lease: {time: 1h, max: 2h, warn: 5m, signal: USR1, suspend: true}
    watchdog: 30s
    notify: true
    terminal: true
    autostart: ${AUTOSTART:-false}
    replicas: ${REPLICAS:-2}
    stop: {signal: TERM, scope: leader-first, timeout: 10s, command: [a, b]}
    restart: {policy: on_failure, backoff: {initial: 1s, factor: 2, max: 1m, jitter: 0.1}, max_restarts: 5, window: 10m, success_exit_codes: [3, 4]}
    depends_on: {db: {condition: process_healthy, restart: true}, line: }
    readiness_probe: {exec: {command: [a]}, initial_delay: 1s, start_period: 1m, period: 1s, timeout: 1s, success_threshold: 1, failure_threshold: 3}
    liveness_probe: {http_get: {scheme: https, host: localhost, port: 80, path: /, headers: {A: b}, status: 204}}
    schedule: {cron: "*/5 * * * *", zone: Europe/Berlin, overlap: queue, on_start: true}
    watch: {paths: ["**/*.go"], ignore: [x], debounce: 1s, signal: HUP}
    hooks: {pre_start: a, post_start: [a], pre_stop: a, post_stop: a, timeout: 30s}
    logs: {disabled: true}
    sockets: [{name: http, address: "127.0.0.1:8080"}, {address: "unix:/run/x", mode: "0600"}]
`

func TestEveryKeyIsTakenAndIsOfTheSchema(t *testing.T) {
	mustLoad(t, everyKey)
	if err := validate(t, compiled(t), everyKey); err != nil {
		t.Error(err)
	}
	var count func(s *Schema) int
	missing := []string{}
	count = func(s *Schema) (n int) {
		if s == nil {
			return 0
		}
		for name, p := range s.Properties {
			if !strings.Contains(everyKey, name+":") {
				missing = append(missing, name)
			}
			n += 1 + count(p)
		}
		for _, p := range s.PatternProperties {
			n += count(p)
		}
		for _, a := range s.AnyOf {
			n += count(a)
		}
		return n + count(s.Items)
	}
	if n := count(rootSchema()); n < 100 || len(missing) > 1 || len(missing) == 1 && missing[0] != "file" {
		t.Errorf("%d keys, and these aren't in the test: %v", n, missing)
	}
}

func TestSchemaRefusesWhatLoadRefuses(t *testing.T) {
	s := compiled(t)
	for _, text := range []string{
		"aps: {}", "apps: []", "apps: {a: x}", "apps: {a: {comand: x}}", "apps: {a: {command: {}}}", "apps: {a: {command: x, replicas: two}}", "apps: {a: {command: x, replicas: -1}}",
		"apps: {a: {command: x, restart: sometimes}}", "apps: {a: {command: x, restart: {policy: sometimes}}}", "apps: {a: {command: x, autostart: 1}}", "apps: {\"a b\": {command: x}}",
		"apps: {a: {command: x, stop: {sig: TERM}}}", "apps: {a: {command: x, readiness_probe: {tcp: {port: x}}}}", "apps: {a: {command: x, depends_on: {b: {condition: up}}}}", "logs: 5\napps: {a: {command: x}}",
	} {
		if err := validate(t, s, text); err == nil {
			t.Errorf("the schema takes %s", text)
		}
		if _, err := load(t, text); err == nil {
			t.Errorf("Load takes %s", text)
		}
	}
}

// The pages of the configuration show files: each loads, and is of the schema.
func TestPagesShowWhatLoads(t *testing.T) {
	pages, err := filepath.Glob("../../doc/config*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	s := compiled(t)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s shows nothing", page)
		}
		for i, block := range blocks {
			example, _, _ := strings.Cut(block, "```")
			t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
				mustLoad(t, "-- foster.yaml --\n"+example+pageFiles)
				if err := validate(t, s, example); err != nil {
					t.Errorf("example %d: %v", i+1, err)
				}
			})
		}
	}
}

// pageFiles are what the examples of the pages name.
const pageFiles = `
-- common.yaml --
apps:
  .go-service: {command: "true"}
-- shop.env --
A=b
`

// What a project is resolved to is a foster.yaml that means the same, whole.
func TestResolvedMeansTheSame(t *testing.T) {
	text := strings.Replace(everyKey, "description: text", "description: \"$${X} $$$$ ${FOSTER_APP:-}\"", 1)
	text = strings.Replace(text, "description: \"$${X} $$$$ ${FOSTER_APP:-}\"", "description: \"$${X} $$$$ $x\"", 1)
	p := mustLoad(t, text)
	resolved, err := json.Marshal(p.Resolved())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, compiled(t), string(resolved)); err != nil {
		t.Error(err)
	}
	path := filepath.Join(p.Dir, "resolved.yaml")
	if err := os.WriteFile(path, resolved, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Source{Dir: p.Dir, Files: []string{"resolved.yaml"}, Environ: []string{"HOME=/home/x"}})
	if err != nil {
		t.Fatalf("%v\n%s", problemsOf(err), resolved)
	}
	again.Files, again.Given = p.Files, p.Given
	for _, project := range []*Project{p, again} {
		slices.SortFunc(project.Apps, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
		for i := range project.Apps {
			slices.Sort(project.Apps[i].Env)
			slices.SortFunc(project.Apps[i].DependsOn, func(a, b Dependency) int { return strings.Compare(a.App, b.App) })
			slices.SortFunc(project.Apps[i].Rlimits, func(a, b foster.Rlimit) int { return a.Resource - b.Resource })
		}
	}
	if !reflect.DeepEqual(p, again) {
		a, _ := json.MarshalIndent(p, "", " ")
		b, _ := json.MarshalIndent(again, "", " ")
		t.Errorf("got\n%s\nwant\n%s\nfrom\n%s", b, a, resolved)
	}
}
