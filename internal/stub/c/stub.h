/* What a stub is told, and what it tells. stub.go has the same; a test compares them. */

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long u64;
typedef long i64;

#define VERSION 1
#define MAXLIMITS 16
#define MAXGROUPS 256
#define MAXWRITES 8
#define MAXPOLLED 4
#define MAXTERMS 16384
#define MAXORPHANS 64
#define NOMASK 0xffffffffu

struct rlimit { u32 resource, pad; u64 soft, hard; };

/* What to start, and how. It is the first thing on the socket; the terms follow it. */
struct config {
	u32 version, flags;
	i32 files;              /* descriptors of the program, from 0 on */
	i32 passed;             /* all descriptors: those behind are for the shim */
	i32 socket;             /* to the owner's side */
	i32 exe;                /* the executable that is the shim when it's awake */
	i32 polled[MAXPOLLED];  /* others whose news wake the shim; -1: none */
	i32 tty;                /* see CTTY and FOREGROUND */
	i32 cgroup;             /* folder of the cgroup in which the leader is born; -1 */
	i32 writes[MAXWRITES];  /* files in which the leader writes 0 to enter a cgroup; -1 */
	u32 umask;              /* NOMASK: as it is */
	u32 uid, gid;
	i32 groups;             /* how many of group; -1: they stay as they are */
	u32 group[MAXGROUPS];
	i32 limits;             /* how many of limit */
	i32 listenpid;          /* which variable of the environment is LISTEN_PID=0000000000; -1 */
	struct rlimit limit[MAXLIMITS];
	u64 caps;               /* ambient capabilities */
	u64 alarm;              /* when to wake, in ns after the leader's start; 0: never */
	u32 clock;              /* clockid_t of alarm, and of began */
	u32 terms;              /* how many bytes of terms follow */
	i32 failat, failwith;   /* for tests: a stage of the start that fails, and its errno; 0: none */
};

enum { /* of config.flags */
	SUBREAPER  = 1,    /* adopt who is orphaned */
	SETSID     = 2,
	SETPGID    = 4,
	CTTY       = 8,    /* tty becomes the controlling terminal */
	NOCTTY     = 16,   /* give up the one that is descriptor 0 */
	FOREGROUND = 32,   /* the leader's group becomes the foreground group of tty */
	USER       = 64,   /* become uid, gid, groups */
	DIEWITH    = 128,  /* the leader is killed when the shim ends */
	ANCHOR     = 256,  /* leave the leader unreaped: its number is that of its group */
	KEEPEND    = 512,  /* wake to tell the end of the tree, in the place of telling it */
	INIT       = 1024, /* this is process 1 of a PID namespace: mount its /proc */
	CHROOT     = 2048, /* the argument behind the path is the leader's root */
	CHDIR      = 4096, /* the one behind these is its working directory */
	PARKED     = 8192, /* the leader was started already: state follows */
};

/* What it tells, in a frame of the protocol (internal/wire). */
struct state {
	u32 kind;
	u32 flags;
	i32 leader;             /* its pid */
	u32 status;             /* of the leader, as of wait4(2): its pause, or its end */
	i32 stage, error;       /* of FAILED */
	u64 reaped, adopted;
	u64 user, system, rss;  /* us, us, KiB: of all that were reaped */
	u64 leaderuser, leadersystem, leaderrss;
	u64 at;                 /* ns since 1970 */
	u64 began;              /* when the leader was started, in ns of the clock */
	i32 orphan;             /* of ORPHAN: its pid, status and name */
	u32 orphanstatus;
	char name[16];
};

enum { /* of state.kind */
	STATE  = 1,
	ORPHAN = 2, /* one that was adopted and reaped, of the first MAXORPHANS */
	FAILED = 3, /* the leader couldn't be started */
};

enum { /* of state.flags */
	PAUSED = 1,
	ENDED  = 2, /* the leader */
	EMPTY  = 4, /* nobody is left: wait4 said ECHILD */
};

enum { /* of state.stage */
	ATMOUNT = 1, ATFORK, ATSESSION, ATTERMINAL, ATCGROUP, ATLIMIT, ATROOT, ATUSER, ATCAPS, ATDIR, ATEXEC,
};

/* The frame: its length, little endian, the kind, one field with tag 1 and a length. */
#define FRAMEKIND 40
struct frame { u8 head[8]; struct state s; };
