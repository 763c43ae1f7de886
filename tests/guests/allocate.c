// allocate HOW: takes memory without end, a MiB at a time and touching it.
//   checked    a refusal is noticed, told, and ends the program with code 3
//   unchecked  a refusal is not noticed: the program writes to where the memory would be
//   abort      a refusal ends it by a trap, as in Rust and C++
//   retry      a refusal is answered by another try, for ever
// allocate MIB: takes so many MiB, touches them and ends with code 0.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20 };

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "checked";
    unsigned long wanted = strtoul(how, NULL, 10), count = 0;
    for (; !wanted || count < wanted;) {
        if (!strcmp(how, "unchecked")) {
            size_t page = __builtin_wasm_memory_grow(0, MIB >> 16);
            memset((char *)(page << 16), 1, MIB);
            count++;
            continue;
        }
        volatile char *block = malloc(MIB);
        if (block) {
            for (size_t i = 0; i < MIB; i += 4096) block[i] = 1;
            count++;
        } else if (!strcmp(how, "abort")) {
            abort();
        } else if (strcmp(how, "retry")) {
            printf("refused after %lu MiB\n", count);
            return 3;
        }
    }
    printf("took %lu MiB\n", count);
    return 0;
}
