package importer

import (
	"errors"
	"testing"
)

// whatever imports what isn't known to be right, and loads what is made of it.
func whatever(t *testing.T, format Format, content map[string]string, paths ...string) {
	t.Helper()
	r := &reader{files: memory(content), out: "/srv", environ: []string{"HOME=/home/me"}}
	res, err := r.run(paths, format)
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("%T: %v", err, err)
		}
		return
	}
	if _, err := load(t, res.YAML, content); err != nil {
		t.Fatalf("%s\n%s", allProblems(err), res.YAML)
	}
}

func FuzzSupervisord(f *testing.F) {
	for _, s := range []string{
		"[program:a]\ncommand=x", "[program:a]\ncommand=x %(ENV_A)s $$\nnumprocs=3\nprocess_name=%(process_num)03d\nuser=%(process_num)d",
		"[program:a b]\ncommand=\"x\\\"y\" 'z'\nenvironment=A=\"b,c\",D='e'\nexitcodes=1,2\nautorestart=true\nstartsecs=0\n",
		"[group:g]\nprograms=a,b\npriority=1\n[program:a]\ncommand=x\npriority=2\n[program:b]\ncommand=%%\n  more\n; c\n\tlines # c",
		"[fcgi-program:p]\ncommand=p\nsocket=tcp://localhost:90\n[supervisord]\numask=7\ndirectory=%(here)s",
		"[program:a]\ncommand=a\nstopsignal=RTMIN+3\nstopwaitsecs=99999999999\nstdout_logfile_maxbytes=0.5GB\nstdout_logfile_backups=0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whatever(t, Supervisord, map[string]string{"supervisord.conf": s}, "supervisord.conf")
	})
}

func FuzzProcfile(f *testing.F) {
	for _, s := range []string{"web: x", "a: $$ ${A:-b} $(c) 'd\"", "..: x\n-: y\n", "a: \x01\u0085\ufeff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whatever(t, Procfile, map[string]string{"Procfile": s}, "Procfile")
	})
}
