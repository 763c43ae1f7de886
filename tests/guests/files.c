// files COMMAND [ARG...] [, COMMAND [ARG...]]...: what a program does with files, one line of output for each command.
//   read P | write P TEXT | append P TEXT | list P | stat P | mkdir P | rmdir P | rm P | mv P Q | ln P Q | symlink TARGET P
//   | readlink P | truncate P SIZE | cwd
// A failure prints `COMMAND P: errno` with the errno's name, and the program goes on; its exit code is the number of failures.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name_of(int number) {
    switch (number) {
#define NAME(e) case e: return #e;
    NAME(EACCES) NAME(EBADF) NAME(EEXIST) NAME(EFAULT) NAME(EILSEQ) NAME(EINVAL) NAME(EIO) NAME(EISDIR) NAME(ELOOP)
    NAME(ENAMETOOLONG) NAME(ENOENT) NAME(ENOSYS) NAME(ENOTDIR) NAME(ENOTEMPTY) NAME(ENOTSUP) NAME(ENXIO) NAME(EPERM)
    NAME(EROFS) NAME(EXDEV) NAME(ENOTCAPABLE) NAME(EMFILE) NAME(ENOSPC) NAME(EMLINK) NAME(EBUSY)
    }
    return strerror(number);
}

static int print_file(const char *path) {
    char buffer[4096];
    ssize_t size;
    int file = open(path, O_RDONLY);
    if (file < 0) return -1;
    printf("read %s: ", path);
    while ((size = read(file, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, size, stdout);
    putchar('\n');
    close(file);
    return size;
}

static int write_file(const char *path, const char *text, int flags) {
    int file = open(path, O_WRONLY | O_CREAT | flags, 0666);
    if (file < 0) return -1;
    ssize_t size = write(file, text, strlen(text));
    close(file);
    if (size < 0) return -1;
    return printf("wrote %s: %zd\n", path, size);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int print_directory(const char *path) {
    static char *names[65536];
    size_t count = 0;
    DIR *directory = opendir(path);
    if (!directory) return -1;
    errno = 0;
    for (struct dirent *entry; count < 65536 && (entry = readdir(directory));) names[count++] = strdup(entry->d_name);
    if (errno) return -1;
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    printf("list %s:", path);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], ".") && strcmp(names[i], "..")) printf(" %s", names[i]);
    putchar('\n');
    return 0;
}

static int print_status(const char *path) {
    struct stat status;
    if (lstat(path, &status)) return -1;
    const char *kind = S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory"
                     : S_ISLNK(status.st_mode) ? "symlink" : "other";
    return printf("stat %s: %s %lld\n", path, kind, S_ISREG(status.st_mode) ? (long long)status.st_size : 0);
}

static int run(int argc, char **argv) {
    const char *command = argv[0], *a = argc > 1 ? argv[1] : ".", *b = argc > 2 ? argv[2] : "";
    char buffer[4096];
    int result = -1;
    errno = 0;
    if (!strcmp(command, "read")) return print_file(a);
    if (!strcmp(command, "write")) return write_file(a, b, O_TRUNC);
    if (!strcmp(command, "append")) return write_file(a, b, O_APPEND);
    if (!strcmp(command, "list")) return print_directory(a);
    if (!strcmp(command, "stat")) return print_status(a);
    if (!strcmp(command, "cwd")) return getcwd(buffer, sizeof buffer) ? printf("cwd: %s\n", buffer) : -1;
    if (!strcmp(command, "readlink")) {
        ssize_t size = readlink(a, buffer, sizeof buffer);
        return size < 0 ? -1 : printf("readlink %s: %.*s\n", a, (int)size, buffer);
    }
    if (!strcmp(command, "mkdir")) result = mkdir(a, 0777);
    else if (!strcmp(command, "rmdir")) result = rmdir(a);
    else if (!strcmp(command, "rm")) result = unlink(a);
    else if (!strcmp(command, "mv")) result = rename(a, b);
    else if (!strcmp(command, "ln")) result = link(a, b);
    else if (!strcmp(command, "symlink")) result = symlink(a, b);
    else if (!strcmp(command, "truncate")) result = truncate(a, atol(b));
    else errno = ENOSYS;
    return result ? -1 : printf("%s %s: done\n", command, a);
}

int main(int argc, char **argv) {
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        int begin = i;
        while (i < argc && strcmp(argv[i], ",")) i++;
        if (i == begin) continue;
        if (run(i - begin, argv + begin) < 0) {
            failures++;
            printf("%s %s: %s\n", argv[begin], begin + 1 < i ? argv[begin + 1] : "", name_of(errno));
        }
    }
    return failures;
}
