package config

import (
	"bytes"
	"encoding/json"
)

// Schema is the part of JSON Schema that describes foster.yaml.
type Schema struct {
	Version              string             `json:"$schema,omitempty"`
	ID                   string             `json:"$id,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 any                `json:"type,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Minimum              *float64           `json:"minimum,omitempty"`
	Default              any                `json:"default,omitempty"`
	AnyOf                []*Schema          `json:"anyOf,omitempty"`
	Items                *Schema            `json:"items,omitempty"`
	Properties           map[string]*Schema `json:"properties,omitempty"`
	PatternProperties    map[string]*Schema `json:"patternProperties,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"`
	Required             []string           `json:"required,omitempty"`
}

// rootSchema describes a whole foster.yaml.
func rootSchema() *Schema {
	root := *projectShape().schema
	root.Version = "https://json-schema.org/draft/2020-12/schema"
	root.ID = "https://raw.githubusercontent.com/foster-init/foster/main/doc/foster.schema.json"
	root.Title = "foster.yaml"
	root.Description = "What foster up runs."
	root.PatternProperties = map[string]*Schema{"^x-": {Description: "For people and for other programs; foster passes it over."}}
	return &root
}

// JSONSchema is the schema of foster.yaml, as it is published.
func JSONSchema() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(rootSchema()); err != nil {
		return nil // it holds nothing that has no JSON
	}
	return b.Bytes()
}
