// collatz ROUNDS: finds the start below 300,000 with the longest Collatz sequence; it is 230,631, with 443 numbers.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int best = 0, start = 0;
    for (int round = argc > 1 ? atoi(argv[1]) : 1; round > 0; round--) {
        best = 0;
        for (int first = 1; first < 300000; first++) {
            unsigned long long number = first;
            int length = 1;
            for (; number != 1; length++) number = number & 1 ? 3 * number + 1 : number / 2;
            if (length > best) best = length, start = first;
        }
    }
    printf("%d %d\n", start, best);
    return 0;
}
