/* A power cut for any program: a library to preload that remembers, for every file whose path contains $POWER_CUT_FILES,
 * what each write replaced until the file is flushed. After `kill -9`, taking all of that back leaves what a disk without
 * power would be sure to have. Flushing takes a millisecond, as on a disk: on a file system in memory it takes no time, and
 * hardly ever would anything be on its way. Where the path contains $POWER_CUT_IGNORED, it does nothing at all.
 *
 * The log of a file is $POWER_CUT_LOG/<inode>: its path, ended by a zero byte, in PATH_MAX bytes; then for each write
 * three 64-bit numbers (offset, bytes replaced, size of the file before) and the bytes. Flushing empties it but for the
 * path. Not simulated: torn sectors, renames, new files that were never flushed in their directory. Not seen: memory-mapped
 * files, io_uring and other asynchronous writes, and stdio, which does not call `write` by name. What is found is a lower
 * bound. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct undo {
    uint64_t offset, replaced, size;
};

/* Whether a descriptor is of a file that is watched, and its path of PATH_MAX bytes. */
static int is_watched(int fd, struct stat *file, char *path) {
    const char *files = getenv("POWER_CUT_FILES");
    if (!files || !getenv("POWER_CUT_LOG") || fstat(fd, file) || !S_ISREG(file->st_mode)) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    memset(path, 0, PATH_MAX);
    return readlink(link, path, PATH_MAX - 1) > 0 && strstr(path, files);
}

/* The log of the file behind a descriptor, locked; -1 for a file that is not watched. */
static int watched(int fd, struct stat *file) {
    const char *logs = getenv("POWER_CUT_LOG");
    char path[PATH_MAX], name[PATH_MAX];
    if (!is_watched(fd, file, path)) return -1;
    snprintf(name, sizeof name, "%s/%lu", logs, (unsigned long)file->st_ino);
    int log = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (log < 0) abort();
    fchmod(log, 0666);
    flock(log, LOCK_EX);
    /* It may have another name than before. */
    syscall(SYS_pwrite64, log, path, (size_t)PATH_MAX, (off_t)0);
    fstat(fd, file);
    return log;
}

static void remember(int log, int fd, const struct stat *file, uint64_t offset, uint64_t length) {
    struct undo undo = {offset, 0, file->st_size};
    if (offset < undo.size) undo.replaced = undo.size - offset < length ? undo.size - offset : length;
    /* Whole pages, as a file opened with O_DIRECT is read. */
    size_t page = 4096, room = (undo.replaced + page - 1) / page * page;
    char *entry, link[64];
    if (posix_memalign((void **)&entry, page, page + room)) abort();
    memcpy(entry + page - sizeof undo, &undo, sizeof undo);
    if (undo.replaced) {
        /* A descriptor that is not for reading needs another. Others must not: closing one takes away every lock that
         * the process has on the file, and SQLite's with them. */
        int again = -1;
        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        }
        size_t size = fcntl(fd, F_GETFL) & O_DIRECT ? room : undo.replaced;
        ssize_t read = syscall(SYS_pread64, again < 0 ? fd : again, entry + page, size, (off_t)offset);
        if (read < (ssize_t)undo.replaced) abort();
        if (again >= 0) syscall(SYS_close, again);
    }
    struct stat of_log;
    fstat(log, &of_log);
    syscall(SYS_pwrite64, log, entry + page - sizeof undo, sizeof undo + undo.replaced, of_log.st_size);
    free(entry);
}

static void over(int log) {
    if (log >= 0) syscall(SYS_close, log);
}

static uint64_t position(int fd, const struct stat *file) {
    return fcntl(fd, F_GETFL) & O_APPEND ? (uint64_t)file->st_size : (uint64_t)lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t length) {
    struct stat file;
    int log = watched(fd, &file);
    if (log >= 0) remember(log, fd, &file, position(fd, &file), length);
    ssize_t done = syscall(SYS_write, fd, data, length);
    over(log);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    struct stat file;
    int log = watched(fd, &file);
    if (log >= 0) remember(log, fd, &file, offset, length);
    ssize_t done = syscall(SYS_pwrite64, fd, data, length, offset);
    over(log);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return pwrite64(fd, data, length, offset);
}

static uint64_t total(const struct iovec *parts, int count) {
    uint64_t length = 0;
    for (int part = 0; part < count; part++) length += parts[part].iov_len;
    return length;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat file;
    int log = watched(fd, &file);
    if (log >= 0) remember(log, fd, &file, position(fd, &file), total(parts, count));
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    over(log);
    return done;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    struct stat file;
    int log = watched(fd, &file);
    if (log >= 0) remember(log, fd, &file, offset, total(parts, count));
    ssize_t done = syscall(SYS_pwritev, fd, parts, count, offset, 0L);
    over(log);
    return done;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t size) {
    struct stat file;
    int log = watched(fd, &file);
    if (log >= 0) {
        uint64_t gone = size < file.st_size ? file.st_size - size : 0;
        remember(log, fd, &file, gone ? (uint64_t)size : (uint64_t)file.st_size, gone);
    }
    int done = syscall(SYS_ftruncate, fd, size);
    over(log);
    return done;
}

int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}

/* Room that is set aside makes a file longer. */
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    struct stat file;
    int log = watched(fd, &file);
    if (log >= 0) remember(log, fd, &file, file.st_size, 0);
    int done = syscall(SYS_fallocate, fd, mode, offset, length);
    over(log);
    return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return fallocate64(fd, mode, offset, length);
}

/* Whatever is flushed stays, as far as anybody can tell who is not the disk: so nothing has to be written to a real one. */
static int flush(int fd, long call) {
    struct stat file;
    char path[PATH_MAX];
    if (!is_watched(fd, &file, path)) return syscall(call, fd);
    const char *ignored = getenv("POWER_CUT_IGNORED");
    if (ignored && strstr(path, ignored)) return 0;
    usleep(1000);
    int log = watched(fd, &file);
    if (log >= 0) syscall(SYS_ftruncate, log, (off_t)PATH_MAX);
    over(log);
    return 0;
}

int fsync(int fd) {
    return flush(fd, SYS_fsync);
}

int fdatasync(int fd) {
    return flush(fd, SYS_fdatasync);
}

/* PostgreSQL begins a recovery with it. All files that are watched are of one file system. */
int syncfs(int fd) {
    const char *logs = getenv("POWER_CUT_LOG");
    if (!logs || getenv("POWER_CUT_IGNORED")) return syscall(SYS_syncfs, fd);
    DIR *all = opendir(logs);
    if (!all) abort();
    usleep(1000);
    for (struct dirent *entry; (entry = readdir(all));) {
        if (entry->d_name[0] == '.') continue;
        int log = syscall(SYS_openat, dirfd(all), entry->d_name, O_RDWR | O_CLOEXEC);
        if (log < 0) continue;
        flock(log, LOCK_EX);
        syscall(SYS_ftruncate, log, (off_t)PATH_MAX);
        over(log);
    }
    closedir(all);
    return 0;
}
