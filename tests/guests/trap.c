// trap HOW: traps, after a line on each output. HOW is unreachable, divide, memory, table or abort.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int zero;
static volatile int number;

__attribute__((noinline)) static void fault(const char *how) {
    if (!strcmp(how, "divide")) number = 100 / zero; // 1 / x needs no division
    else if (!strcmp(how, "memory")) *(volatile int *)0xfffffff0u = 1;
    else if (!strcmp(how, "table")) ((void (*volatile)(void))0x7fffffffu)();
    else if (!strcmp(how, "abort")) abort();
    else __builtin_trap();
}

int main(int argc, char **argv) {
    puts("before");
    fflush(stdout);
    fputs("about to trap\n", stderr);
    fault(argc > 1 ? argv[1] : "unreachable");
    puts("after");
    return 0;
}
