// loop: says that it has begun, and never ends.
#include <stdio.h>

int main(void) {
    volatile unsigned turns = 0;
    puts("begun");
    fflush(stdout);
    for (;;) turns++;
}
