// recurse: calls itself until the stack ends.
#include <stdio.h>

static volatile int always = 1;

__attribute__((noinline)) static int deeper(int depth) {
    volatile char frame[64];
    frame[depth & 63] = (char)depth;
    return always ? deeper(depth + 1) + frame[depth & 63] : 0;
}

int main(void) { return printf("%d\n", deeper(0)) < 0; }
