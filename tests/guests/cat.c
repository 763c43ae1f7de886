// cat [FILE...]: copies the files, or its standard input, to its standard output.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int copy(int from) {
    static char buffer[1 << 16];
    ssize_t size;
    while ((size = read(from, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0; done < size;) {
            ssize_t part = write(1, buffer + done, size - done);
            if (part < 0) return -1;
            done += part;
        }
    return size;
}

int main(int argc, char **argv) {
    if (argc == 1 && copy(0) < 0) return fprintf(stderr, "cat: %s\n", strerror(errno)), 1;
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_RDONLY);
        if (file < 0 || copy(file) < 0) return fprintf(stderr, "cat: %s: %s\n", argv[i], strerror(errno)), 1;
        close(file);
    }
    return 0;
}
