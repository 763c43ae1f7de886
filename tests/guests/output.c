// output BYTES [STREAM]: writes so many bytes, lines of 64, to stream 1 or 2.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    size_t left = argc > 1 ? strtoull(argv[1], NULL, 10) : 1 << 20;
    int stream = argc > 2 ? atoi(argv[2]) : 1;
    static char block[1 << 16];
    memset(block, 'x', sizeof block);
    for (size_t i = 63; i < sizeof block; i += 64) block[i] = '\n';
    while (left) {
        ssize_t size = write(stream, block, left < sizeof block ? left : sizeof block);
        if (size <= 0) return 1;
        left -= size;
    }
    return 0;
}
