package main

import "testing"

func TestDoctorTellsWhatCanBeHad(t *testing.T) {
	out := ownHost(t, `
echo BEGIN; foster doctor -o json; echo END
status foster doctor
`)
	wants(t, out, `^Containments:`, `yes +auto`, `yes +subreaper`, `reaped +sh \(pid 1\) adopts the orphans`, `auto takes`, `^status 0$`)
	var d diagnosis
	jsonOf(t, out, &d)
	if !d.OK || len(d.Containments) != 5 || d.Orphans.State != stateOK || len(d.Folders) < 2 {
		t.Errorf("%+v", d)
	}
	for _, f := range d.Containments {
		if f.State != stateOK && (f.Why == "" || f.Hint == "") {
			t.Errorf("%+v: neither why nor what would help", f)
		}
	}
}

func TestDoctorTellsOfAFolderThatIsOpenToOthers(t *testing.T) {
	out := ownHost(t, `
mkdir state/foster; chmod 755 state/foster
status foster doctor
`)
	wants(t, out, `folders +.*open to others`, `hint:`, `Something that custody needs is missing`, `^status 1$`)
}

func TestCgroupLayoutIsReadFromTheMounts(t *testing.T) {
	const both = "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	unified, old := cgroupMounts(both + "nonsense\n1 2 - cgroup2 x\n")
	if len(unified) != 1 || unified[0] != "/sys/fs/cgroup/unified" || len(old) != 1 {
		t.Error(unified, old)
	}
	if got := processLimit("Limit  Soft\nMax processes             96365                96366                processes \n"); got != "soft 96365, hard 96366" {
		t.Error(got)
	}
}

func TestAProcOfAnotherNamespaceIsNotBelieved(t *testing.T) {
	out := ownHost(t, `
status unshare --pid --fork foster orphans
status unshare --pid --fork foster explain 1
status unshare --pid --fork foster zombies --nudge --all
status unshare --pid --fork foster doctor
`)
	const refused = `^foster: /proc shows another PID namespace\nhint: mount -t proc proc /proc$`
	wants(t, out, refused, `^status 125$`, refused, `^status 125$`, refused, `^status 125$`,
		`no +process table +/proc shows another PID namespace`, `couldn't be tried: /proc shows another`, `^status 1$`)
}
