// What Linux offers and Swift's Glibc module leaves out.
#include <sys/epoll.h>
#include <sys/xattr.h>

// In <fcntl.h> only under _GNU_SOURCE, which Swift's Glibc module is built without.
static const int f_setlease = 1024;
