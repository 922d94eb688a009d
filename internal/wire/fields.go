package wire

// The fields of each message and of its parts. A tag is given by hand, is unique
// within its message, and is never used again for another thing.

func (*Files) kind() kind       { return kindFiles }
func (*Start) kind() kind       { return kindStart }
func (*Signal) kind() kind      { return kindSignal }
func (*Stop) kind() kind        { return kindStop }
func (*Release) kind() kind     { return kindRelease }
func (*Hello) kind() kind       { return kindHello }
func (*Started) kind() kind     { return kindStarted }
func (*Failed) kind() kind      { return kindFailed }
func (*Paused) kind() kind      { return kindPaused }
func (*LeaderEnded) kind() kind { return kindLeader }
func (*Signaled) kind() kind    { return kindSignaled }
func (*Ended) kind() kind       { return kindEnded }
func (*Replied) kind() kind     { return kindReplied }

func (*Files) fields(*codec) {}

func (m *Start) fields(c *codec) {
	c.string(1, &m.Path)
	c.strings(2, &m.Args)
	c.strings(3, &m.Env)
	c.string(4, &m.Dir)
	num(c, 5, &m.Files)
	num(c, 6, &m.Containment)
	c.string(7, &m.CgroupPath)
	c.bool(8, &m.Session)
	c.bool(9, &m.Foreground)
	c.bool(10, &m.SetUmask)
	num(c, 11, &m.Umask)
	one(c, 12, &m.Credential, (*Credential).fields)
	list(c, 13, &m.Rlimits, (*Rlimit).fields)
	one(c, 14, &m.OwnerGone, (*Plan).fields)
	nums(c, 15, &m.Closed)
}

func (m *Signal) fields(c *codec) {
	num(c, 1, &m.ID)
	num(c, 2, &m.Signal)
	num(c, 3, &m.Scope)
}

func (m *Stop) fields(c *codec) { one(c, 1, &m.Plan, (*Plan).fields) }

func (m *Release) fields(c *codec) { num(c, 1, &m.ID) }

func (m *Hello) fields(c *codec) {
	num(c, 1, &m.Version)
	c.string(2, &m.Step)
	num(c, 3, &m.Errno)
}

func (m *Started) fields(c *codec) {
	num(c, 1, &m.PID)
	num(c, 2, &m.Start)
	c.time(3, &m.At)
	num(c, 4, &m.PIDFDs)
}

func (m *Failed) fields(c *codec) {
	c.string(1, &m.Stage)
	num(c, 2, &m.Errno)
	c.string(3, &m.Text)
}

func (m *Paused) fields(c *codec) { num(c, 1, &m.Signal) }

func (m *LeaderEnded) fields(c *codec) {
	num(c, 1, &m.Status)
	one(c, 2, &m.Usage, (*Usage).fields)
	c.time(3, &m.At)
	c.bool(4, &m.Lost)
	list(c, 5, &m.Left, (*Member).fields)
}

func (m *Signaled) fields(c *codec) {
	num(c, 1, &m.Signal)
	num(c, 2, &m.Scope)
	num(c, 3, &m.Count)
	list(c, 4, &m.Names, (*Member).fields)
}

func (m *Ended) fields(c *codec) {
	c.time(1, &m.At)
	one(c, 2, &m.Usage, (*Usage).fields)
	num(c, 3, &m.Reaped)
	num(c, 4, &m.Adopted)
	num(c, 5, &m.Killed)
	c.bool(6, &m.Released)
	c.bool(7, &m.OwnerGone)
	list(c, 8, &m.Survivors, (*Member).fields)
	list(c, 9, &m.Orphans, (*Orphan).fields)
}

func (m *Replied) fields(c *codec) {
	num(c, 1, &m.ID)
	num(c, 2, &m.Errno)
	num(c, 3, &m.Count)
}

func (v *Credential) fields(c *codec) {
	c.bool(1, &v.Set)
	num(c, 2, &v.UID)
	num(c, 3, &v.GID)
	nums(c, 4, &v.Groups)
	c.bool(5, &v.NoSetGroups)
}

func (v *Rlimit) fields(c *codec) {
	num(c, 1, &v.Resource)
	num(c, 2, &v.Soft)
	num(c, 3, &v.Hard)
}

func (v *Plan) fields(c *codec) {
	list(c, 1, &v.Steps, (*Step).fields)
	c.duration(2, &v.GiveUp)
}

func (v *Step) fields(c *codec) {
	num(c, 1, &v.Signal)
	num(c, 2, &v.Scope)
	c.duration(3, &v.Wait)
}

func (v *Member) fields(c *codec) {
	num(c, 1, &v.PID)
	num(c, 2, &v.Start)
	c.string(3, &v.Name)
	num(c, 4, &v.State)
	num(c, 5, &v.Error)
}

func (v *Orphan) fields(c *codec) {
	num(c, 1, &v.PID)
	c.string(2, &v.Name)
	num(c, 3, &v.Status)
	c.time(4, &v.At)
}

func (v *Usage) fields(c *codec) {
	c.duration(1, &v.User)
	c.duration(2, &v.System)
	num(c, 3, &v.MaxRSS)
}
