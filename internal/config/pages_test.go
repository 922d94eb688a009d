package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// row is what the pages of the configuration have to say of a key.
type row struct{ key, preset, doc string }

// documented are the rows for all keys: "restart.backoff.initial", with "`1s`". Those of
// an application stand for themselves, and those of the two probes are the same.
func documented(root *Schema) (rows []row) {
	seen := map[string]bool{}
	var walk func(path string, s *Schema)
	walk = func(path string, s *Schema) {
		if s == nil {
			return
		}
		for name, p := range s.Properties {
			key := strings.TrimPrefix(path+"."+name, ".")
			for _, above := range []string{"readiness_probe.", "liveness_probe."} {
				key = strings.TrimPrefix(key, above)
			}
			preset := ""
			if p.Default != nil {
				preset = fmt.Sprintf("`%v`", p.Default)
			}
			if !seen[key] {
				seen[key] = true
				rows = append(rows, row{key, preset, p.Description})
			}
			walk(path+"."+name, p)
		}
		for _, p := range s.PatternProperties {
			walk("", p)
		}
		for _, a := range s.AnyOf {
			walk(path, a)
		}
		walk(path, s.Items)
		if p, ok := s.AdditionalProperties.(*Schema); ok {
			walk(path+".NAME", p)
		}
	}
	walk("", root)
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.key, b.key) })
	return rows
}

func TestPagesTellOfEachKey(t *testing.T) {
	pages, err := filepath.Glob("../../doc/config*.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	for _, r := range documented(rootSchema()) {
		if begin := fmt.Sprintf("\n| `%s` | %s |", r.key, r.preset); !strings.Contains(text.String(), strings.ReplaceAll(begin, "|  |", "| |")) {
			t.Errorf("no page has the row\n| `%s` | %s | %s |", r.key, r.preset, r.doc)
		}
	}
}
