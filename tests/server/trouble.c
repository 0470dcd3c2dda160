/* A disk in trouble, for the server that is started with this in LD_PRELOAD. The file that TROUBLE names says which:
   `slow`: every sync of a file takes two seconds; `full`: nothing more can be written to a database.
   No file, or any other word: all is well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is(const char *trouble) {
    const char *place = getenv("TROUBLE");
    int file = place ? open(place, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    char word[16] = {0};
    ssize_t length = read(file, word, sizeof word - 1);
    close(file);
    return length > 0 && strncmp(word, trouble, strlen(trouble)) == 0;
}

static int is_of_database(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "claims.db") != NULL;
}

static void wait_if_slow(void) {
    if (is("slow")) usleep(2000000);
}

int fsync(int file) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    wait_if_slow();
    return real(file);
}

int fdatasync(int file) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    wait_if_slow();
    return real(file);
}

static int refuse(int file) {
    if (!is_of_database(file) || !is("full")) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    return refuse(file) ? -1 : real(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return refuse(file) ? -1 : real(file, bytes, count, at);
}

ssize_t write(int file, const void *bytes, size_t count) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return refuse(file) ? -1 : real(file, bytes, count);
}
