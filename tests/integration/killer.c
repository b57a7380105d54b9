/* Loaded before the C library: a process that has been armed kills itself at its n-th call that changes a file.

   kill_arm(n, half) counts from now on: the n-th call ends the process before it does anything, or, where it writes and
   `half` is set, after half of it has been written. With n = 0 calls are only counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;
static long fatal = -1;
static int in_half;

void kill_arm(long n, int half) { calls = 0; in_half = half; fatal = n; }
long kill_count(void) { return calls; }

static int due(void) { return fatal >= 0 && atomic_fetch_add(&calls, 1) + 1 == fatal; }
static void end(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WRAP(ret, name, params, args) ret name params { REAL(name); if (due()) end(); return real args; }

WRAP(int, fsync, (int d), (d))
WRAP(int, fdatasync, (int d), (d))
WRAP(int, ftruncate, (int d, off_t n), (d, n))
WRAP(int, ftruncate64, (int d, off64_t n), (d, n))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b))
WRAP(int, link, (const char *a, const char *b), (a, b))
WRAP(int, linkat, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, unlinkat, (int d, const char *a, int f), (d, a, f))
WRAP(int, mkdir, (const char *a, mode_t m), (a, m))
WRAP(int, chmod, (const char *a, mode_t m), (a, m))

ssize_t write(int d, const void *b, size_t n) {
    REAL(write);
    if (due()) { if (in_half && n > 1) real(d, b, n / 2); end(); }
    return real(d, b, n);
}
ssize_t pwrite(int d, const void *b, size_t n, off_t o) {
    REAL(pwrite);
    if (due()) { if (in_half && n > 1) real(d, b, n / 2, o); end(); }
    return real(d, b, n, o);
}
ssize_t pwrite64(int d, const void *b, size_t n, off64_t o) {
    REAL(pwrite64);
    if (due()) { if (in_half && n > 1) real(d, b, n / 2, o); end(); }
    return real(d, b, n, o);
}

#define OPEN(name) \
    int name(const char *p, int f, ...) { \
        REAL(name); va_list v; va_start(v, f); mode_t m = (f & O_CREAT) ? va_arg(v, mode_t) : 0; va_end(v); \
        if ((f & (O_CREAT | O_TRUNC)) && due()) end(); \
        return real(p, f, m); }
OPEN(open)
OPEN(open64)
