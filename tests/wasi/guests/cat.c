// Writes the contents of the files that its arguments name, or the number of what was wrong with one.

#include <errno.h>
#include <stdio.h>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    FILE *file = fopen(argv[i], "r");
    if (!file) {
      printf("[%d]", errno);
      continue;
    }
    for (int c; (c = getc(file)) != EOF;) putchar(c);
    fclose(file);
  }
  return 0;
}
