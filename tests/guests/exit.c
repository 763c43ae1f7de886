// exit CODE [HOW]: ends by `return` (the default), `exit` or `_Exit`, after text that is still buffered.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    int code = argc > 1 ? (int)strtoul(argv[1], NULL, 10) : 0;
    const char *how = argc > 2 ? argv[2] : "return";
    printf("leaving by %s\n", how);
    if (!strcmp(how, "exit")) exit(code);
    if (!strcmp(how, "_Exit")) _Exit(code);
    return code;
}
