// hello [NAME [CODE]]: greets, and returns CODE from main.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    printf("Hello, %s!\n", argc > 1 ? argv[1] : "World");
    return argc > 2 ? atoi(argv[2]) : 0;
}
