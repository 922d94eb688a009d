/*
 * The stub: a shim that is parked. It is the parent, subreaper and reaper of one
 * tree, on a few pages of memory, without libc. It starts the leader, reaps who
 * ends, and tells the owner's side. Whatever else there is to do, it doesn't know
 * how: it wakes, which is to execute the shim in its own place, with its pid, its
 * children and its descriptors. It wakes when
 *
 *	the owner's side says something, or is gone;
 *	somebody connects, the program notifies, a named owner ends: see polled;
 *	the alarm's time has come;
 *	the leader has ended, and others live on.
 *
 *	foster-shim SOCKET PATH [ROOT] [DIR] ARG0 ARG1...
 *
 * It is started with the environment, the working directory and the descriptors of
 * the leader, and finds its struct config in SOCKET. Signals are blocked all the
 * time but SIGCHLD, while it waits.
 */
#include <asm/unistd.h>
#include "stub.h"

_Static_assert(sizeof(struct config) == 1544 && sizeof(struct state) == 128, "as in stub.go");

#define EPERM 1
#define EINTR 4
#define E2BIG 7
#define EAGAIN 11
#define ENOMEM 12
#define EINVAL 22
#define ENOSYS 38
#define SIGKILL 9
#define SIGCHLD 17
#define AT_FDCWD (-100)

#if defined(__x86_64__)
static inline i64 call6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f)
{
	i64 r;
	register i64 r10 __asm__("r10") = d;
	register i64 r8 __asm__("r8") = e;
	register i64 r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return r;
}
__asm__(".globl _start\n_start: mov %rsp,%rdi\nand $-16,%rsp\ncall begin\nhlt\n");
/* A handler returns by rt_sigreturn(2). */
void restore(void);
__asm__("restore: mov $15,%eax\nsyscall\n");
#define RESTORER 0x04000000, restore
#elif defined(__aarch64__)
static inline i64 call6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f)
{
	register i64 x8 __asm__("x8") = n;
	register i64 x0 __asm__("x0") = a;
	register i64 x1 __asm__("x1") = b;
	register i64 x2 __asm__("x2") = c;
	register i64 x3 __asm__("x3") = d;
	register i64 x4 __asm__("x4") = e;
	register i64 x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\nbl begin\nbrk #0\n");
#define RESTORER 0, 0
#else
#error this architecture has no stub
#endif

#define call(n, a, b, c, d) call6(__NR_##n, (i64)(a), (i64)(b), (i64)(c), (i64)(d), 0, 0)

/* The compiler may call these. */
void *memset(void *to, int c, u64 n) { for (u8 *p = to; n--;) *p++ = (u8)c; return to; }
void *memcpy(void *to, const void *from, u64 n) { for (u8 *p = to, *q = (u8 *)from; n--;) *p++ = *q++; return to; }

/* As in the kernel's headers. */
struct action { void (*handler)(int); u64 flags; void (*restorer)(void); u64 mask; };
struct usage { i64 user[2], system[2], maxrss, rest[13]; };
struct info { i32 signo, error, code, pad, pid, uid, status; char rest[100]; };
struct pollfd { i32 fd; short events, revents; };
struct timespec { i64 s, ns; };
struct clone3 { u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };

static struct config conf;
static char terms[MAXTERMS];     /* what the shim is to know when it wakes */
static struct state now;
static int untold;               /* now has news */
static struct frame out;
static u64 unsent;               /* how much of out is left to be sent */
static int named;                /* how many orphans were told by name */
static int due;                  /* there is a reason to wake */
static char **args, **env;       /* of the leader */
static volatile i32 stage, failed; /* where its start failed, and why: its child writes them */
static int entering;             /* the leader enters its cgroup by itself */
static char stack[4096] __attribute__((aligned(16))); /* of the leader before it's the program */

static __attribute__((noreturn)) void end(int status)
{
	for (;;) call(exit_group, status, 0, 0, 0);
}

static u64 clock(u32 id)
{
	struct timespec t;
	call(clock_gettime, id, &t, 0, 0);
	return (u64)t.s * 1000000000 + (u64)t.ns;
}

/* ---- The leader. Its child has the stub's memory, and a stack of its own. ---- */

static i64 must(int at, i64 result)
{
	if (at == conf.failat)
		result = -conf.failwith;
	if (result < 0) {
		stage = at;
		failed = (i32)-result;
		for (;;) call(exit, 127, 0, 0, 0);
	}
	return result;
}

#define PR_SET_PDEATHSIG 1
#define PR_SET_KEEPCAPS 8
#define PR_SET_NAME 15
#define PR_SET_CHILD_SUBREAPER 36
#define PR_CAP_AMBIENT 47

static void capabilities(void)
{
	struct { u32 version; i32 pid; } head = { 0x20080522, 0 };
	struct { u32 effective, permitted, inheritable; } set[2];
	must(ATCAPS, call(capget, &head, set, 0, 0));
	for (int i = 0; i < 2; i++) {
		u32 more = (u32)(conf.caps >> 32 * i);
		set[i].permitted |= more;
		set[i].inheritable |= more;
	}
	must(ATCAPS, call(capset, &head, set, 0, 0));
	for (int i = 0; i < 64; i++)
		if (conf.caps >> i & 1)
			must(ATCAPS, call(prctl, PR_CAP_AMBIENT, 2 /* PR_CAP_AMBIENT_RAISE */, i, 0));
}

static void enter(i32 folder)
{
	i64 fd = must(ATCGROUP, call(openat, folder, "cgroup.procs", 1 /* O_WRONLY */, 0));
	must(ATCGROUP, call(write, fd, "0", 1, 0));
	call(close, fd, 0, 0, 0);
}

/* leader doesn't return. */
void leader(void)
{
	char **arg = args, *path = *arg++;
	struct action none = { 0 }, was;
	u64 nobody = 0;
	i32 pid;
	if (conf.flags & SETSID)
		must(ATSESSION, call(setsid, 0, 0, 0, 0));
	if (conf.flags & SETPGID)
		must(ATSESSION, call(setpgid, 0, 0, 0, 0));
	pid = (i32)call(getpid, 0, 0, 0, 0);
	if (conf.flags & NOCTTY)
		must(ATTERMINAL, call(ioctl, 0, 0x5422 /* TIOCNOTTY */, 0, 0));
	if (conf.flags & CTTY)
		must(ATTERMINAL, call(ioctl, conf.tty, 0x540e /* TIOCSCTTY */, 1, 0));
	if (conf.flags & FOREGROUND)
		must(ATTERMINAL, call(ioctl, conf.tty, 0x5410 /* TIOCSPGRP */, &pid, 0));
	for (int i = 0; i < conf.limits; i++)
		must(ATLIMIT | i << 8, call(prlimit64, 0, conf.limit[i].resource, &conf.limit[i].soft, 0));
	if (entering)
		enter(conf.cgroup);
	if (conf.flags & CHROOT)
		must(ATROOT, call(chroot, *arg++, 0, 0, 0));
	if (conf.caps)
		must(ATCAPS, call(prctl, PR_SET_KEEPCAPS, 1, 0, 0));
	if (conf.flags & USER) {
		if (conf.groups >= 0)
			must(ATUSER, call(setgroups, conf.groups, conf.group, 0, 0));
		must(ATUSER, call(setgid, conf.gid, 0, 0, 0));
		must(ATUSER, call(setuid, conf.uid, 0, 0, 0));
	}
	if (conf.caps)
		capabilities();
	if (conf.flags & CHDIR)
		must(ATDIR, call(chdir, *arg++, 0, 0, 0));
	if (conf.umask != NOMASK)
		call(umask, conf.umask, 0, 0, 0);
	if (conf.flags & DIEWITH)
		call(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	if (conf.listenpid >= 0) {
		char *digit = env[conf.listenpid];
		u32 n = (u32)pid;
		while (*digit) digit++;
		for (; digit[-1] != '='; n /= 10) *--digit = (char)('0' + n % 10);
	}
	/* The last: whose limits, once it's in it, may forbid the rest. */
	for (int i = 0; i < MAXWRITES && conf.writes[i] >= 0; i++)
		must(ATCGROUP | (i + 1) << 8, call(write, conf.writes[i], "0", 1, 0));
	for (int s = 1; s <= 64; s++)
		if (call(rt_sigaction, s, 0, &was, 8) == 0 && (u64)was.handler == 1 /* SIG_IGN */)
			call(rt_sigaction, s, &none, 0, 8);
	call(rt_sigprocmask, 2 /* SIG_SETMASK */, &nobody, 0, 8);
	must(ATEXEC, 0); /* for tests */
	must(ATEXEC, call(execve, path, arg, env, 0));
}

#define CLONE_VM 0x100ul
#define CLONE_VFORK 0x4000ul
#define CLONE_INTO_CGROUP 0x200000000ul

/*
 * spawn is vfork(2), but for the stack: what the child writes there isn't the
 * stub's. It makes clone(2) or clone3(2), whose arguments differ.
 */
static i64 spawn(i64 n, i64 a, i64 b)
{
#if defined(__x86_64__)
	i64 r;
	register i64 r10 __asm__("r10") = 0;
	register i64 r8 __asm__("r8") = 0;
	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\tcall leader\n\thlt\n1:"
		: "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(0), "r"(r10), "r"(r8) : "rcx", "r11", "memory", "cc");
	return r;
#else
	register i64 x8 __asm__("x8") = n;
	register i64 x0 __asm__("x0") = a;
	register i64 x1 __asm__("x1") = b;
	register i64 x2 __asm__("x2") = 0;
	register i64 x3 __asm__("x3") = 0;
	register i64 x4 __asm__("x4") = 0;
	__asm__ volatile("svc #0\n\tcbnz x0, 1f\n\tbl leader\n\tbrk #0\n1:"
		: "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "x30", "memory", "cc");
	return x0;
#endif
}

/* start starts the leader, and is 0 where that failed. */
static int start(void)
{
	i64 pid = 0;
	if (conf.failat == ATMOUNT || conf.failat == ATFORK || conf.failat == ATCGROUP && conf.cgroup >= 0) {
		stage = conf.failat;
		failed = conf.failwith;
		return 0;
	}
	if (conf.flags & INIT) {
		i64 error = call6(__NR_mount, (i64)"", (i64)"/", (i64)"", 0x84000 /* MS_REC | MS_SLAVE */, 0, 0);
		if (error == 0)
			error = call6(__NR_mount, (i64)"proc", (i64)"/proc", (i64)"proc", 14 /* MS_NOSUID | MS_NODEV | MS_NOEXEC */, 0, 0);
		if (error < 0) {
			stage = ATMOUNT;
			failed = (i32)-error;
			return 0;
		}
	}
	if (conf.flags & SUBREAPER)
		call(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0);
	if (conf.cgroup >= 0) {
		struct clone3 a = { CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP, 0, 0, 0, SIGCHLD,
			(u64)stack, sizeof stack, 0, 0, 0, (u64)conf.cgroup };
		pid = spawn(__NR_clone3, (i64)&a, sizeof a);
		/* Linux before 5.7 doesn't know the flag, or the call; a filter may forbid it. */
		entering = pid == -ENOSYS || pid == -EPERM || pid == -E2BIG || pid == -EINVAL;
	}
	if (conf.cgroup < 0 || entering)
		pid = spawn(__NR_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, (i64)(stack + sizeof stack));
	if (pid < 0) {
		stage = pid == -EAGAIN || pid == -ENOMEM || conf.cgroup < 0 ? ATFORK : ATCGROUP;
		failed = (i32)-pid;
	} else if (failed) {
		call(wait4, pid, 0, 0x40000000 /* __WALL */, 0);
	}
	now.leader = (i32)pid;
	return !failed;
}

/* ---- What the children have to tell. ---- */

static void took(u32 status, struct usage *u)
{
	untold = 1;
	now.status = status;
	now.flags &= ~(u32)PAUSED;
	if ((status & 0xff) == 0x7f) {
		now.flags |= PAUSED;
	} else if (status != 0xffff) {
		now.flags |= ENDED;
		now.leaderuser = (u64)(u->user[0] * 1000000 + u->user[1]);
		now.leadersystem = (u64)(u->system[0] * 1000000 + u->system[1]);
		now.leaderrss = (u64)u->maxrss;
	}
}

static char *decimal(char *to, u32 n)
{
	char digit[10];
	int k = 0;
	do digit[k++] = (char)('0' + n % 10); while (n /= 10);
	while (k) *to++ = digit[--k];
	*to = 0;
	return to;
}

/* send sends a state, unless there is no room: the next one says as much. */
static int send(struct state *s)
{
	i64 n;
	if (!unsent) {
		static const u8 head[8] = { sizeof *s + 4, 0, 0, 0, FRAMEKIND, 1, sizeof *s & 127 | 128, sizeof *s >> 7 };
		memcpy(out.head, head, sizeof head);
		s->at = clock(0 /* CLOCK_REALTIME */);
		out.s = *s;
		unsent = sizeof out;
		s = 0;
	}
	n = call6(__NR_sendto, conf.socket, (i64)(&out + 1) - (i64)unsent, (i64)unsent, 0x4040 /* MSG_DONTWAIT | MSG_NOSIGNAL */, 0, 0);
	if (n > 0)
		unsent -= (u64)n;
	else if (unsent == sizeof out)
		unsent = 0;
	return n > 0 && !s;
}

/* name reads the name of a zombie, which it has until it's reaped. */
static void name(struct state *o)
{
	char path[32] = "/proc/";
	i64 fd, n;
	memcpy(decimal(path + 6, (u32)o->orphan), "/comm", 6);
	fd = call(openat, AT_FDCWD, path, 0x80000 /* O_CLOEXEC */, 0);
	if (fd < 0)
		return;
	n = call(read, fd, o->name, sizeof o->name, 0);
	if (n > 0)
		o->name[n - 1] = 0; /* the newline */
	call(close, fd, 0, 0, 0);
}

#define WNOHANG 1
#define WUNTRACED 2
#define WEXITED 4
#define WCONTINUED 8
#define WNOWAIT 0x1000000
#define WALL 0x40000000

/* anchored takes what the leader tells, and leaves it a zombie. */
static void anchored(void)
{
	struct info i;
	struct usage u;
	while (!(now.flags & ENDED)) {
		i.pid = 0;
		call6(__NR_waitid, 1 /* P_PID */, now.leader, (i64)&i, WNOHANG | WUNTRACED | WCONTINUED, (i64)&u, 0);
		if (!i.pid)
			call6(__NR_waitid, 1, now.leader, (i64)&i, WNOHANG | WEXITED | WNOWAIT, (i64)&u, 0);
		if (!i.pid)
			return;
		switch (i.code) {
		case 1 /* CLD_EXITED */: took((u32)i.status << 8, &u); break;
		case 2 /* CLD_KILLED */: took((u32)i.status, &u); break;
		case 3 /* CLD_DUMPED */: took((u32)i.status | 0x80, &u); break;
		case 6 /* CLD_CONTINUED */: took(0xffff, &u); break;
		default: took((u32)i.status << 8 | 0x7f, &u); break;
		}
	}
	due = 1; /* who else is in the group is beyond a stub */
}

static void reap(void)
{
	struct usage u;
	struct state o;
	struct info i;
	u32 status;
	i64 pid;
	if (conf.flags & ANCHOR) {
		anchored();
		return;
	}
	for (;;) {
		o.orphan = 0;
		if (named < MAXORPHANS) {
			i.pid = 0;
			call6(__NR_waitid, 0 /* P_ALL */, 0, (i64)&i, WEXITED | WNOHANG | WNOWAIT | WALL, 0, 0);
			if (i.pid && i.pid != now.leader) {
				memset(&o, 0, sizeof o);
				o.kind = ORPHAN;
				o.orphan = i.pid;
				name(&o);
			}
		}
		pid = call(wait4, -1, &status, WNOHANG | WUNTRACED | WCONTINUED | WALL, &u);
		if (pid == 0) {
			due |= now.flags & ENDED; /* others live on */
			return;
		}
		if (pid < 0) {
			now.flags |= EMPTY;
			untold = 1;
			return;
		}
		if (pid == now.leader && !(now.flags & ENDED)) {
			took(status, &u);
			if (!(now.flags & ENDED))
				continue;
		} else if ((status & 0xff) == 0x7f || status == 0xffff) {
			continue;
		} else {
			now.adopted++;
			if (o.orphan == pid) {
				o.orphanstatus = status;
				named += send(&o);
			}
		}
		now.reaped++;
		now.user += (u64)(u.user[0] * 1000000 + u.user[1]);
		now.system += (u64)(u.system[0] * 1000000 + u.system[1]);
		if (now.rss < (u64)u.maxrss)
			now.rss = (u64)u.maxrss;
	}
}

/* ---- To wake. ---- */

static void cloexec(u64 on)
{
	for (int fd = conf.files; fd < conf.passed; fd++)
		call(fcntl, fd, 2 /* F_SETFD */, on, 0);
}

/* wake returns where it fails: then it's tried again, and who ends meanwhile is reaped. */
static void wake(void)
{
	static char state[2 * sizeof now + 1];
	char socket[12], file[12], *s = state;
	char *argv[] = { "foster-shim", "awake", socket, file, state, 0 };
	char *envp[] = { "GORACE=atexit_sleep_ms=0", 0 };
	i64 fd = call(memfd_create, "foster-terms", 0, 0, 0);
	if (fd < 0)
		return;
	call(write, fd, terms, conf.terms, 0);
	if (unsent) /* a frame that was cut in two is finished by the shim */
		call(write, fd, (u8 *)(&out + 1) - unsent, unsent, 0);
	call(lseek, fd, 0, 0, 0);
	decimal(socket, (u32)conf.socket);
	decimal(file, (u32)fd);
	now.kind = untold ? STATE : 0;
	now.at = conf.terms;
	for (u8 *p = (u8 *)&now; p < (u8 *)(&now + 1); p++) {
		*s++ = "0123456789abcdef"[*p >> 4];
		*s++ = "0123456789abcdef"[*p & 15];
	}
	cloexec(0);
	call6(__NR_execveat, conf.exe, (i64)"", (i64)argv, (i64)envp, 0x1000 /* AT_EMPTY_PATH */, 0);
	cloexec(1);
	call(close, fd, 0, 0, 0);
}

static void nothing(int signal) { (void)signal; }

#define POLLIN 1
#define POLLOUT 4

/* loop waits for children, for the owner's side, and for the time to wake. */
static void loop(void)
{
	u64 blocked = ~(1ul << (SIGCHLD - 1));
	struct pollfd p[1 + MAXPOLLED];
	for (;;) {
		struct timespec t = { 0, 100000000 }, *timeout = 0;
		i64 n;
		reap();
		if (now.flags & EMPTY && conf.flags & KEEPEND)
			due = 1;
		if (unsent || untold && !due) {
			now.kind = STATE;
			if (send(&now))
				untold = 0;
		}
		if (now.flags & EMPTY && !due && !unsent && !untold)
			end(0);
		p[0].fd = conf.socket;
		p[0].events = POLLIN | (unsent || untold ? POLLOUT : 0);
		for (n = 0; n < MAXPOLLED; n++) {
			p[1 + n].fd = conf.polled[n];
			p[1 + n].events = POLLIN;
		}
		if (conf.alarm && !due) {
			u64 at = clock(conf.clock);
			u64 alarm = now.began + conf.alarm;
			due = at >= alarm;
			timeout = &t;
			if (!due) {
				t.s = (i64)((alarm - at) / 1000000000);
				t.ns = (i64)((alarm - at) % 1000000000);
			}
		}
		if (due) {
			wake();
			timeout = &t;
		}
		n = call6(__NR_ppoll, (i64)p, due ? 0 : 1 + MAXPOLLED, (i64)timeout, (i64)&blocked, 8, 0);
		for (int i = 0; n > 0 && i <= MAXPOLLED; i++)
			due |= p[i].revents & ~POLLOUT;
	}
}

/* receive reads what the owner's side has sent before the stub was started. */
static void receive(void *to, u64 size)
{
	i32 socket = conf.socket;
	if (size && call6(__NR_recvfrom, socket, (i64)to, (i64)size, 0x100 /* MSG_WAITALL */, 0, 0) != (i64)size)
		end(125);
	conf.socket = socket;
}

void begin(char **sp)
{
	struct action chld = { nothing, RESTORER, 0 };
	u64 all = ~0ul;
	call(rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, 8);
	call(rt_sigaction, SIGCHLD, &chld, 0, 8);
	call(prctl, PR_SET_NAME, "foster-shim", 0, 0);
	args = sp + 3; /* behind argc, "foster-shim" and the socket */
	for (env = args; *env++;);
	for (char *d = sp[2]; *d; d++)
		conf.socket = conf.socket * 10 + (*d - '0');
	receive(&conf, sizeof conf);
	if (conf.version != VERSION || conf.terms > MAXTERMS)
		end(125);
	receive(terms, conf.terms);
	/* What the owner was started with isn't for a shim to hold open, nor for the tree. */
	if (call(close_range, conf.passed, ~0u, 0, 0) < 0) /* Linux before 5.9 */
		for (int fd = conf.passed; fd < 4096; fd++)
			call(close, fd, 0, 0, 0);
	cloexec(1);
	if (conf.flags & PARKED)
		memcpy(&now, terms + conf.terms - sizeof now, sizeof now);
	else if (!start()) {
		now.kind = FAILED;
		now.stage = stage;
		now.error = failed;
		send(&now);
		end(1);
	}
	if (!(conf.flags & PARKED)) {
		untold = 1;
		now.began = clock(conf.clock);
	}
	for (int fd = 0; fd < conf.files; fd++)
		call(close, fd, 0, 0, 0);
	call(chdir, "/", 0, 0, 0);
	loop();
}
