// paths: does things to paths, as `paths ACTION PATH ACTION PATH ...`, each in a line of its output. With -DCHDIR it can change its
// directory, so that its C library has one.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char text[4096];

static int act(const char *action, const char *path) {
    if (!strcmp(action, "new")) {
        int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0666);
        return file < 0 ? -1 : close(file);
    }
    if (!strcmp(action, "remove")) return unlink(path);
    if (!strcmp(action, "move")) {
        snprintf(text, sizeof text, "%s.moved", path);
        return rename(path, text);
    }
    if (!strcmp(action, "read")) {
        int file = open(path, O_RDONLY);
        if (file < 0) return -1;
        ssize_t size = read(file, text, sizeof text);
        printf("%.*s ", (int)size, text);
        return close(file);
    }
    if (!strcmp(action, "list")) {
        DIR *directory = opendir(path);
        if (!directory) return -1;
        for (struct dirent *entry; (entry = readdir(directory));) printf("%s ", entry->d_name);
        return closedir(directory);
    }
#ifdef CHDIR
    if (!strcmp(action, "enter")) return chdir(path);
    if (!strcmp(action, "where")) {
        if (!getcwd(text, sizeof text)) return -1;
        printf("%s ", text);
        return 0;
    }
#endif
    return -2;
}

int main(int count, char **arguments) {
    for (int i = 1; i + 1 < count; i += 2) {
        int failed = act(arguments[i], arguments[i + 1]);
        printf("%s %s: %s\n", arguments[i], arguments[i + 1], failed ? strerror(errno) : "done");
    }
}
