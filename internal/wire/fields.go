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
func (*Extend) kind() kind      { return kindExtend }
func (*Inspect) kind() kind     { return kindInspect }
func (*Claim) kind() kind       { return kindClaim }
func (*Output) kind() kind      { return kindOutput }
func (*Watch) kind() kind       { return kindWatch }
func (*Drop) kind() kind        { return kindDrop }
func (*Open) kind() kind        { return kindOpen }
func (*Confirm) kind() kind     { return kindConfirm }
func (*Status) kind() kind      { return kindStatus }
func (*LeaseNews) kind() kind   { return kindLease }
func (*Notified) kind() kind    { return kindNotified }
func (*OwnerNews) kind() kind   { return kindOwner }
func (*Stopping) kind() kind    { return kindStopping }
func (*LetGo) kind() kind       { return kindLetGo }
func (*Parked) kind() kind      { return kindParked }
func (*Entry) kind() kind       { return kindEntry }
func (*Life) kind() kind        { return kindLife }

func (*Files) fields(*codec)   {}
func (*Open) fields(*codec)    {}
func (*Confirm) fields(*codec) {}

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
	c.string(16, &m.ID)
	c.bool(17, &m.Listen)
	c.string(18, &m.SocketPath)
	c.bool(19, &m.Journal)
	one(c, 20, &m.Owner, (*Member).fields)
	c.bool(21, &m.OwnerNamed)
	c.duration(22, &m.Grace)
	nums(c, 23, &m.Outputs)
	c.string(24, &m.AfterLeader)
	one(c, 25, &m.Lease, (*Lease).fields)
	c.duration(26, &m.Watchdog)
	c.string(27, &m.Notify)
	c.string(28, &m.JournalPath)
	c.bool(29, &m.Keep)
	c.bool(30, &m.Read)
	c.bool(31, &m.ListenPID)
	c.strings(32, &m.Kept)
	list(c, 33, &m.Writes, (*Write).fields)
	c.strings(34, &m.Groups)
	c.bool(35, &m.Confirm)
	one(c, 36, &m.Attr, (*Attr).fields)
}

func (m *Parked) fields(c *codec) { c.bytes(1, &m.State) }

func (a *Attr) fields(c *codec) {
	c.string(1, &a.Chroot)
	nums(c, 2, &a.AmbientCaps)
	num(c, 3, &a.Cloneflags)
	num(c, 4, &a.Unshareflags)
	list(c, 5, &a.UIDMappings, (*IDMap).fields)
	list(c, 6, &a.GIDMappings, (*IDMap).fields)
	c.bool(7, &a.Setgroups)
	c.bool(8, &a.Noctty)
	num(c, 9, &a.Ctty)
}

func (m *IDMap) fields(c *codec) {
	num(c, 1, &m.Inside)
	num(c, 2, &m.Outside)
	num(c, 3, &m.Size)
}

func (m *Signal) fields(c *codec) {
	num(c, 1, &m.ID)
	num(c, 2, &m.Signal)
	num(c, 3, &m.Scope)
}

func (m *Stop) fields(c *codec) {
	one(c, 1, &m.Plan, (*Plan).fields)
	c.bool(2, &m.Default)
	c.string(3, &m.Cause)
	num(c, 4, &m.ID)
}

func (m *Release) fields(c *codec) {
	num(c, 1, &m.ID)
	c.bool(2, &m.Guest)
	num(c, 3, &m.PID)
}

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

func (m *Paused) fields(c *codec) {
	num(c, 1, &m.Signal)
	c.time(2, &m.At)
}

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
	c.time(5, &m.At)
	one(c, 6, &m.Left, (*Plan).fields)
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
	c.bool(10, &m.Read)
	num(c, 11, &m.OOMKills)
	list(c, 12, &m.LetGo, (*Member).fields)
}

func (m *LetGo) fields(c *codec) {
	c.time(1, &m.At)
	num(c, 2, &m.Count)
	list(c, 3, &m.Processes, (*Member).fields)
}

func (m *Replied) fields(c *codec) {
	num(c, 1, &m.ID)
	num(c, 2, &m.Errno)
	num(c, 3, &m.Count)
	c.string(4, &m.Text)
	c.duration(5, &m.Left)
	nums(c, 6, &m.Outputs)
	c.strings(7, &m.Kept)
	list(c, 8, &m.Processes, (*Member).fields)
}

func (m *Extend) fields(c *codec) {
	num(c, 1, &m.ID)
	c.duration(2, &m.For)
}

func (m *Inspect) fields(c *codec) { num(c, 1, &m.ID) }

func (m *Claim) fields(c *codec) {
	num(c, 1, &m.ID)
	one(c, 2, &m.Owner, (*Member).fields)
	c.bool(3, &m.Named)
	c.bool(4, &m.Output)
	c.bool(5, &m.Kept)
	c.bool(6, &m.Confirm)
}

func (m *Output) fields(c *codec) { num(c, 1, &m.ID) }

func (m *Watch) fields(c *codec) { num(c, 1, &m.ID) }

func (m *Drop) fields(c *codec) { num(c, 1, &m.Stream) }

func (m *Stopping) fields(c *codec) {
	c.time(1, &m.At)
	c.string(2, &m.Cause)
}

func (m *LeaseNews) fields(c *codec) {
	c.time(1, &m.At)
	num(c, 2, &m.Kind)
	c.duration(3, &m.Left)
}

func (m *Notified) fields(c *codec) {
	c.time(1, &m.At)
	c.bool(2, &m.Ready)
	c.string(3, &m.Text)
	num(c, 4, &m.MainPID)
}

func (m *OwnerNews) fields(c *codec) {
	c.time(1, &m.At)
	c.bool(2, &m.Gone)
	c.duration(3, &m.Grace)
	one(c, 4, &m.Owner, (*Member).fields)
}

func (m *Status) fields(c *codec) {
	num(c, 1, &m.Reply)
	c.string(2, &m.ID)
	c.string(3, &m.State)
	c.string(4, &m.Stopping)
	one(c, 5, &m.Leader, (*Member).fields)
	c.bool(6, &m.LeaderDone)
	num(c, 7, &m.Containment)
	one(c, 8, &m.Owner, (*Member).fields)
	c.bool(9, &m.OwnerGone)
	c.duration(10, &m.GraceLeft)
	c.bool(11, &m.HasLease)
	c.duration(12, &m.LeaseLeft)
	c.duration(13, &m.LeaseMax)
	nums(c, 14, &m.Outputs)
	num(c, 15, &m.Reader)
	num(c, 16, &m.Reaped)
	c.bool(17, &m.Ready)
	c.string(18, &m.Text)
	num(c, 19, &m.MainPID)
	c.duration(20, &m.Watchdog)
	num(c, 21, &m.Adopted)
	list(c, 22, &m.LetGo, (*Member).fields)
}

func (m *Entry) fields(c *codec) {
	num(c, 1, &m.Version)
	c.string(2, &m.ID)
	c.time(3, &m.At)
	c.string(4, &m.Boot)
	num(c, 5, &m.PIDNS)
	num(c, 6, &m.UID)
	num(c, 7, &m.Containment)
	c.string(8, &m.CgroupPath)
	num(c, 9, &m.CgroupInode)
	one(c, 10, &m.Shim, (*Member).fields)
	one(c, 11, &m.Owner, (*Member).fields)
	c.strings(12, &m.Command)
	c.string(13, &m.SocketPath)
	one(c, 14, &m.Stop, (*Plan).fields)
	c.bool(15, &m.Keep)
	c.bool(16, &m.ShimSelf)
	c.bool(17, &m.Many)
	c.strings(18, &m.Groups)
	c.string(19, &m.Clock)
	c.string(20, &m.Machine)
	c.string(21, &m.Namespace)
}

func (m *Life) fields(c *codec) {
	one(c, 1, &m.Leader, (*Member).fields)
	list(c, 2, &m.Members, (*Member).fields)
	c.bool(3, &m.LeaderDone)
	one(c, 4, &m.LeaderEnd, (*LeaderEnded).fields)
	c.bool(5, &m.Done)
	one(c, 6, &m.End, (*Ended).fields)
	c.string(7, &m.Cause)
	one(c, 8, &m.Shim, (*Member).fields)
}

func (v *Write) fields(c *codec) {
	c.string(1, &v.Path)
	c.string(2, &v.Text)
}

func (v *Lease) fields(c *codec) {
	c.duration(1, &v.Time)
	c.duration(2, &v.Max)
	c.duration(3, &v.Warn)
	num(c, 4, &v.Signal)
	c.bool(5, &v.Suspend)
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
	num(c, 6, &v.Group)
	num(c, 7, &v.Session)
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
