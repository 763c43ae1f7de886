// Prints what differs from run to run: the time, random bytes, and how long an hour's sleep took. argv[1]: "wait" to wait for
// a clock without sleeping, "files" to use a file as well.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv) {
    unsigned char bytes[8];
    long long before = nanoseconds(CLOCK_MONOTONIC);
    printf("time %lld\n", (long long)time(NULL));
    if (getentropy(bytes, sizeof bytes))
        return 1;
    printf("random ");
    for (unsigned i = 0; i < sizeof bytes; i++)
        printf("%02x", bytes[i]);
    if (argc > 1 && !strcmp(argv[1], "wait"))
        while (nanoseconds(CLOCK_MONOTONIC) < before + 1000000)
            ;
    else
        sleep(3600);
    printf("\npassed %lld s, time %lld\n", (nanoseconds(CLOCK_MONOTONIC) - before) / 1000000000, (long long)time(NULL));
    FILE *file = argc > 1 && !strcmp(argv[1], "files") ? fopen("/out", "w") : NULL;
    if (file)
        fputs("written\n", file);
    return 0;
}
