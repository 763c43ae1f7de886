// growing: `growing HOW` writes pieces of 4 KiB to /file until it is told that one has failed, but no more than 100 or, with "few" or "lost",
// than 3; closes it, but with "lost"; and writes which of both has failed.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char piece[4096];

int main(int count, char **arguments) {
    const char *how = count > 1 ? arguments[1] : "";
    int most = strcmp(how, "many") ? 3 : 100;
    int file = open("/file", O_CREAT | O_WRONLY, 0666);
    if (file < 0) return 2;
    int written = 0;
    while (written < most && write(file, piece, sizeof piece) == sizeof piece) written++;
    int closed = strcmp(how, "lost") ? close(file) : 0;
    printf("%s\n", written < most || closed ? "told" : "not told");
}
