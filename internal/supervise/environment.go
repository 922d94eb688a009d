package supervise

import (
	"slices"
	"strings"

	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/units"
)

// ofUser are the variables that say who somebody is. Those of the supervisor are wrong for
// an application that runs as another user.
var ofUser = []string{"HOME=", "USER=", "LOGNAME="}

// environment is what the commands of an application run with. Where it has a user, the
// variables of that one stand in place of those that it would inherit; what its
// configuration sets stays.
func environment(spec *config.App) []string {
	if spec.User == "" {
		return spec.Env
	}
	inherited := min(spec.Inherited, len(spec.Env))
	env := slices.DeleteFunc(slices.Clone(spec.Env[:inherited]), isOfUser)
	for _, pair := range units.UserVariables(spec.User) {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(spec.Env[inherited:], func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			env = append(env, pair)
		}
	}
	return append(env, spec.Env[inherited:]...)
}

// withVariables is an application whose commands have further variables, which have the
// last word.
func withVariables(spec config.App, pairs ...string) config.App {
	var env []string
	inherited := spec.Inherited
	for n, pair := range spec.Env {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(pairs, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			env = append(env, pair)
		} else if n < spec.Inherited {
			inherited--
		}
	}
	spec.Env, spec.Inherited = append(env, pairs...), inherited
	return spec
}

func isOfUser(pair string) bool {
	return slices.ContainsFunc(ofUser, func(name string) bool { return strings.HasPrefix(pair, name) })
}
