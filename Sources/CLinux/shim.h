// What Linux offers and Swift's Glibc module leaves out.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

// In <fcntl.h>, <stdio.h> and <unistd.h> only under _GNU_SOURCE, which Swift's Glibc module is built without.
static const int f_setlease = 1024;
static const int o_tmpfile = 020000000 | O_DIRECTORY;
int renameat2(int old_directory, const char *old_name, int new_directory, const char *new_name, unsigned int flags);
int syncfs(int descriptor);
int mkostemp(char *pattern, int flags);
int pipe2(int ends[2], int flags);
int fallocate(int descriptor, int mode, off_t offset, off_t count);
static const int falloc_keep_size = 1;
static const unsigned int rename_noreplace = 1;
static const int f_ofd_getlk = 36;
static const int f_ofd_setlk = 37;
static const int o_direct = __O_DIRECT;
// POLLRDHUP
static const short poll_rdhup = 0x2000;
int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *end);
ssize_t preadv2(int descriptor, const struct iovec *pieces, int count, off_t offset, int flags);
// RWF_NOWAIT
static const int rwf_nowait = 8;

// glibc has no function for it. Of the calling thread, and of those that it starts; 3 is the idle class.
static inline int ioprio_set_idle(void) { return (int)syscall(SYS_ioprio_set, 1, 0, 3 << 13); }

// In <time.h> only under _XOPEN_SOURCE.
char *strptime(const char *text, const char *format, struct tm *time);

// Macros of <malloc.h> that are taken for numbers with a sign.
static const int m_trim_threshold = M_TRIM_THRESHOLD;
static const int m_mmap_threshold = M_MMAP_THRESHOLD;
static const int m_arena_max = M_ARENA_MAX;
