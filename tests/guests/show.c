// show [ARG...]: prints its arguments and its environment, one a line, as it got them.
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("arg %d: %s\n", i, argv[i]);
    for (char **variable = environ; variable && *variable; variable++) printf("env: %s\n", *variable);
    return 0;
}
