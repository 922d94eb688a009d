package supervise

import (
	"os/user"
	"slices"
	"testing"

	"github.com/foster-init/foster/internal/config"
)

// An application of another user has the HOME of that user, and not that of the supervisor;
// so have its hooks, its probes and foster exec.
func TestAUserHasVariablesOfItsOwn(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	home, name, logname := "HOME="+me.HomeDir, "USER="+me.Username, "LOGNAME="+me.Username
	inherited, own := []string{"A=b", "HOME=/of/the/supervisor", "USER=it", "LOGNAME=it"}, []string{"HOMER=x", "C=d"}
	for _, tt := range []struct {
		user string
		own  []string
		want []string
	}{
		{"", own, slices.Concat(inherited, own)},
		{me.Username, own, slices.Concat([]string{"A=b", home, name, logname}, own)},
		{me.Uid, []string{"HOME=/srv"}, []string{"A=b", name, logname, "HOME=/srv"}},
		{"4294967000", own, slices.Concat([]string{"A=b"}, own)},
	} {
		spec := config.App{User: tt.user, Env: slices.Concat(inherited, tt.own), Inherited: len(inherited), Command: []string{"x"}}
		if got := environment(&spec); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.user, got, tt.want)
		}
		if cmd, err := command(&spec); err != nil || !slices.Equal(cmd.Env, tt.want) {
			t.Errorf("%q: %v, %v", tt.user, cmd.Env, err)
		}
		if !slices.Equal(spec.Env, slices.Concat(inherited, tt.own)) {
			t.Errorf("%q: the configuration has become %q", tt.user, spec.Env)
		}
	}
}
