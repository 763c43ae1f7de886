// listing: `listing empty N` makes N files in /many, lists them twice, and removes each while it lists them; `listing watch N` lists /many N
// times. Either writes what it counted.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[300];

static int list(int removes) {
    DIR *directory = opendir("/many");
    if (!directory) return -1;
    int count = 0;
    for (struct dirent *entry; errno = 0, (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/many/%s", entry->d_name);
        if (removes && unlink(path)) return -1;
        count++;
    }
    return closedir(directory) || errno ? -1 : count;
}

int main(int count, char **arguments) {
    if (count < 3) return 1;
    int number = atoi(arguments[2]);
    if (!strcmp(arguments[1], "watch")) {
        int failed = 0;
        for (int i = 0; i < number; i++) failed += list(0) < 0;
        printf("%d failed\n", failed);
        return 0;
    }
    for (int i = 0; i < number; i++) {
        snprintf(path, sizeof path, "/many/a file with a name of some length, number %d", i);
        int file = open(path, O_CREAT | O_WRONLY, 0666);
        if (file < 0 || close(file)) return 2;
    }
    int first = list(0), second = list(0), removed = list(1);
    printf("%d %d %d %d\n", first, second, removed, list(0));
}
