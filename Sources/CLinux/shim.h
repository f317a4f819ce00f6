// What Linux offers and Swift's Glibc module leaves out.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/xattr.h>

// In <fcntl.h> only under _GNU_SOURCE, which Swift's Glibc module is built without.
static const int f_setlease = 1024;
static const int o_tmpfile = 020000000 | O_DIRECTORY;
