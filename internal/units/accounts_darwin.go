package units

import (
	"os/user"
	"strconv"
)

// On macOS the user database is a service, which os/user asks without cgo.

func findAccount(name string) (account, bool) { return newAccount(user.Lookup(name)) }

func findAccountOf(uid uint32) (account, bool) {
	return newAccount(user.LookupId(strconv.FormatUint(uint64(uid), 10)))
}

func newAccount(u *user.User, err error) (account, bool) {
	if err != nil {
		return account{}, false
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return account{name: u.Username, home: u.HomeDir, uid: uint32(uid), gid: uint32(gid)}, err1 == nil && err2 == nil
}

func findGroup(name string) (uint32, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(gid), err == nil
}

// privateGroup is never true: users of macOS share a group.
func privateGroup(account, uint32) bool { return false }

func groupsOf(a account) ([]uint32, error) {
	u, err := user.Lookup(a.name)
	if err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var groups []uint32
	for _, id := range ids {
		if gid, err := strconv.ParseUint(id, 10, 32); err == nil {
			groups = append(groups, uint32(gid))
		}
	}
	return groups, nil
}
