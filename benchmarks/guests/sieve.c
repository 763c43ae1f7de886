// sieve ROUNDS: counts the primes below 4,000,000 by the sieve of Eratosthenes; there are 283,146.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 4000000 };
static unsigned char composite[LIMIT];

int main(int argc, char **argv) {
    int count = 0;
    for (int round = argc > 1 ? atoi(argv[1]) : 1; round > 0; round--) {
        memset(composite, 0, sizeof composite);
        count = 0;
        for (long long number = 2; number < LIMIT; number++) {
            if (composite[number]) continue;
            count++;
            for (long long multiple = number * number; multiple < LIMIT; multiple += number) composite[multiple] = 1;
        }
    }
    printf("%d\n", count);
    return 0;
}
