#include <archive.h>
#include <archive_entry.h>

// In <stdio.h> and <unistd.h> only under _GNU_SOURCE, which Swift's Glibc module is built without.
int renameat2(int old_directory, const char *old_name, int new_directory, const char *new_name, unsigned int flags);
int syncfs(int descriptor);
static const unsigned int rename_noreplace = 1;
