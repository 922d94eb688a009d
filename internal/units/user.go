package units

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// Credential looks up a user and a group, by name or number. A user that is only a number
// needs no entry in the user database. Without a group, it is the user's; without a user,
// it is the one that this process runs as. The supplementary groups are those that the
// user is in, and more. A group takes the place of the user's primary group, and of no
// other. If nothing is given, the credential is nil.
func Credential(name, group string, more ...string) (*syscall.Credential, error) {
	if name == "" && group == "" && len(more) == 0 {
		return nil, nil
	}
	cred := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}
	var err error
	if name != "" {
		err = setUser(cred, name)
	} else {
		err = keepGroups(cred)
	}
	if err != nil {
		return nil, err
	}
	if group != "" {
		gid, err := Group(group)
		if err != nil {
			return nil, err
		}
		cred.Groups = slices.DeleteFunc(cred.Groups, func(g uint32) bool { return g == cred.Gid })
		cred.Gid = gid
	}
	for _, one := range more {
		gid, err := Group(one)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(cred.Groups, gid) {
			cred.Groups = append(cred.Groups, gid)
		}
	}
	if own := os.Geteuid(); own != 0 && cred.Uid == uint32(own) && cred.Gid == uint32(os.Getegid()) && len(more) == 0 {
		cred.NoSetGroups = true // it is the same user, who may not set what it has already
	}
	return cred, nil
}

// keepGroups gives a credential the supplementary groups of this process.
func keepGroups(cred *syscall.Credential) error {
	groups, err := os.Getgroups()
	for _, g := range groups {
		cred.Groups = append(cred.Groups, uint32(g))
	}
	return err
}

func setUser(cred *syscall.Credential, name string) error {
	if u, ok := lookupUser(name); ok {
		groups, err := groupsOf(u)
		cred.Uid, cred.Gid, cred.Groups = u.uid, u.gid, groups
		return err
	}
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return fmt.Errorf("there is no user %q on this system", name)
	}
	cred.Uid, cred.Gid = uint32(uid), uint32(uid)
	return nil
}

// account is a user, as the user database has them.
type account struct {
	name, home string
	uid, gid   uint32
}

// lookupUser looks up a user by name, and else by number.
func lookupUser(name string) (account, bool) {
	if u, ok := findAccount(name); ok {
		return u, true
	}
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return account{}, false
	}
	return findAccountOf(uint32(uid))
}

// UserName is the name of a user, by its number; "" if the user database has none.
func UserName(uid int) string {
	u, _ := findAccountOf(uint32(uid))
	return u.name
}

// PrivateGroup says whether a group is the primary one of a user, has the user's name, and
// has no other member.
func PrivateGroup(uid, gid int) bool {
	u, ok := findAccountOf(uint32(uid))
	return ok && privateGroup(u, uint32(gid))
}

// UserNumber is the number of a user, by its name or number.
func UserNumber(name string) (int, error) {
	if u, ok := lookupUser(name); ok {
		return int(u.uid), nil
	}
	// The largest number means none.
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("there is no user %q on this system: want a name or a number", name)
	}
	return int(n), nil
}

// UserVariables are the variables that tell a program whom it runs as, by name or number,
// as the user database has them. Whom that doesn't know has none.
func UserVariables(name string) []string {
	u, ok := lookupUser(name)
	if !ok {
		return nil
	}
	return []string{"HOME=" + u.home, "USER=" + u.name, "LOGNAME=" + u.name}
}

// Group looks up a group, by name or number.
func Group(name string) (uint32, error) {
	if gid, ok := findGroup(name); ok {
		return gid, nil
	}
	gid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no group %q on this system", name)
	}
	return uint32(gid), nil
}
