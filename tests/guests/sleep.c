// sleep SECONDS: says that it has begun, sleeps (by poll_oneoff), says that it is done.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 3600;
    struct timespec span = {(time_t)seconds, (long)((seconds - (long)seconds) * 1e9)};
    puts("begun");
    fflush(stdout);
    if (nanosleep(&span, NULL)) return 1;
    puts("done");
    return 0;
}
