package units

import (
	"errors"
	"fmt"
	"os"
	"os/user"
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
	if u, err := lookupUser(name); err == nil {
		return fillCredential(cred, u)
	}
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return fmt.Errorf("there is no user %q on this system", name)
	}
	cred.Uid, cred.Gid = uint32(uid), uint32(uid)
	return nil
}

func lookupUser(name string) (*user.User, error) {
	if u, err := user.Lookup(name); err == nil {
		return u, nil
	}
	return user.LookupId(name)
}

// UserVariables are the variables that tell a program whom it runs as, by name or number,
// as the user database has them. Whom that doesn't know has none.
func UserVariables(name string) []string {
	u, err := lookupUser(name)
	if err != nil {
		return nil
	}
	return []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}
}

func fillCredential(cred *syscall.Credential, u *user.User) error {
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	groups, err3 := u.GroupIds()
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	cred.Uid, cred.Gid = uint32(uid), uint32(gid)
	for _, g := range groups {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(id))
		}
	}
	return nil
}

// Group looks up a group, by name or number.
func Group(name string) (uint32, error) {
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	gid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no group %q on this system", name)
	}
	return uint32(gid), nil
}
