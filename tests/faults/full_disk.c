/* A disk that is full from its N-th change on, for one process: preloaded by tests.faults.writes.

   Counted are the calls, of all threads together, that make or change anything below the folder
   FULL_DISK_BELOW. From call FULL_DISK_AT on they fail with ENOSPC (with FULL_DISK_ONCE that call
   alone). Each call counted becomes a
   line of FULL_DISK_LOG: its number, its name, its path below the folder, whether it failed. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *below;
static size_t below_length;
static long at;
static int once, journal = -1;
static atomic_long counted;

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("FULL_DISK_AT"), *log = getenv("FULL_DISK_LOG");
    below = getenv("FULL_DISK_BELOW");
    below_length = below ? strlen(below) : 0;
    at = number ? atol(number) : 0;
    once = getenv("FULL_DISK_ONCE") != NULL;
    if (log)
        journal = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Whether the call on this absolute path has to fail; it is counted if the path lies below. */
static int full(const char *call, const char *path)
{
    char line[PATH_MAX + 64];
    if (!below || strncmp(path, below, below_length) || path[below_length] != '/')
        return 0;
    long number = atomic_fetch_add(&counted, 1) + 1;
    int fails = at && (once ? number == at : number >= at);
    int length = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\n", number, call,
                          path + below_length + 1, fails ? "failed" : "done");
    if (journal >= 0)
        syscall(SYS_write, journal, line, (size_t)length);
    if (fails)
        errno = ENOSPC;
    return fails;
}

static int full_at(const char *call, int folder, const char *path)
{
    char whole[PATH_MAX * 2], link[64];
    ssize_t length = 0;
    if (!path || path[0] == '/')
        return path ? full(call, path) : 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    length = folder == AT_FDCWD ? readlink("/proc/self/cwd", whole, PATH_MAX)
                                : readlink(link, whole, PATH_MAX);
    if (length < 0)
        return 0;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
    return full(call, whole);
}

static int full_file(const char *call, int file)
{
    char path[PATH_MAX], link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return full(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FILE(result, name, fails, parameters, ...)                                              \
    result name parameters                                                                         \
    {                                                                                              \
        if (full_file(#name, file))                                                                \
            return fails;                                                                          \
        return REAL(name)(__VA_ARGS__);                                                            \
    }

ON_FILE(ssize_t, write, -1, (int file, const void *bytes, size_t n), file, bytes, n)
ON_FILE(ssize_t, writev, -1, (int file, const struct iovec *parts, int n), file, parts, n)
ON_FILE(ssize_t, pwrite, -1, (int file, const void *bytes, size_t n, off_t to), file, bytes, n, to)
ON_FILE(ssize_t, pwrite64, -1, (int file, const void *bytes, size_t n, off64_t to), file, bytes, n, to)
ON_FILE(ssize_t, pwritev, -1, (int file, const struct iovec *parts, int n, off_t to), file, parts, n, to)
ON_FILE(ssize_t, pwritev64, -1, (int file, const struct iovec *parts, int n, off64_t to), file, parts, n, to)
ON_FILE(int, ftruncate, -1, (int file, off_t length), file, length)
ON_FILE(int, ftruncate64, -1, (int file, off64_t length), file, length)
ON_FILE(int, fallocate, -1, (int file, int mode, off_t from, off_t length), file, mode, from, length)
ON_FILE(int, fallocate64, -1, (int file, int mode, off64_t from, off64_t length), file, mode, from, length)
ON_FILE(int, posix_fallocate, ENOSPC, (int file, off_t from, off_t length), file, from, length)
ON_FILE(int, posix_fallocate64, ENOSPC, (int file, off64_t from, off64_t length), file, from, length)
ON_FILE(int, fsync, -1, (int file), file)
ON_FILE(int, fdatasync, -1, (int file), file)
ON_FILE(ssize_t, sendfile, -1, (int file, int from, off_t *at_byte, size_t n), file, from, at_byte, n)
ON_FILE(ssize_t, sendfile64, -1, (int file, int from, off64_t *at_byte, size_t n), file, from, at_byte, n)
ON_FILE(ssize_t, copy_file_range, -1,
        (int from, off64_t *from_byte, int file, off64_t *to_byte, size_t n, unsigned flags),
        from, from_byte, file, to_byte, n, flags)

#define ON_PATH(name, parameters, folder, path, ...)                                               \
    int name parameters                                                                            \
    {                                                                                              \
        if (full_at(#name, folder, path))                                                          \
            return -1;                                                                             \
        return REAL(name)(__VA_ARGS__);                                                            \
    }

ON_PATH(mkdir, (const char *path, mode_t mode), AT_FDCWD, path, path, mode)
ON_PATH(mkdirat, (int folder, const char *path, mode_t mode), folder, path, folder, path, mode)
ON_PATH(symlink, (const char *target, const char *path), AT_FDCWD, path, target, path)
ON_PATH(symlinkat, (const char *target, int folder, const char *path), folder, path, target, folder, path)
ON_PATH(link, (const char *from, const char *path), AT_FDCWD, path, from, path)
ON_PATH(linkat, (int from_folder, const char *from, int folder, const char *path, int flags), folder, path,
        from_folder, from, folder, path, flags)
ON_PATH(rename, (const char *from, const char *path), AT_FDCWD, path, from, path)
ON_PATH(renameat, (int from_folder, const char *from, int folder, const char *path), folder, path,
        from_folder, from, folder, path)
ON_PATH(renameat2, (int from_folder, const char *from, int folder, const char *path, unsigned flags),
        folder, path, from_folder, from, folder, path, flags)
ON_PATH(truncate, (const char *path, off_t length), AT_FDCWD, path, path, length)
ON_PATH(truncate64, (const char *path, off64_t length), AT_FDCWD, path, path, length)

/* Opening is counted where it makes a file. */
#define ON_OPEN(name, folder, parameters, ...)                                                     \
    int name parameters                                                                            \
    {                                                                                              \
        mode_t mode = 0;                                                                           \
        if (flags & O_CREAT) {                                                     \
            va_list more;                                                                          \
            va_start(more, flags);                                                                 \
            mode = va_arg(more, mode_t);                                                           \
            va_end(more);                                                                          \
        }                                                                                          \
        struct stat there;                                                                         \
        if (flags & O_CREAT && fstatat(folder, path, &there, 0) && full_at(#name, folder, path))   \
            return -1;                                                                             \
        return REAL(name)(__VA_ARGS__, mode);                                                      \
    }

ON_OPEN(open, AT_FDCWD, (const char *path, int flags, ...), path, flags)
ON_OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), path, flags)
ON_OPEN(openat, folder, (int folder, const char *path, int flags, ...), folder, path, flags)
ON_OPEN(openat64, folder, (int folder, const char *path, int flags, ...), folder, path, flags)
