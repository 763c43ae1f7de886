// serve: says that it is ready, then does what each line of its input asks for, until the input's end:
//   say TEXT | cry TEXT (to the standard error) | make PATH | part TEXT (without a newline) | exit CODE | trap | loop
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    static char line[1 << 16];
    setvbuf(stdout, NULL, _IONBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = strchr(line, ' ');
        if (rest) *rest++ = 0;
        if (!strcmp(line, "say")) printf("%s\n", rest);
        else if (!strcmp(line, "part")) printf("%s", rest);
        else if (!strcmp(line, "cry")) fprintf(stderr, "%s\n", rest);
        else if (!strcmp(line, "exit")) return atoi(rest);
        else if (!strcmp(line, "trap")) __builtin_trap();
        else if (!strcmp(line, "loop")) for (volatile int turning = 1; turning;) {}
        else if (!strcmp(line, "make")) {
            FILE *file = fopen(rest, "w");
            if (!file) return perror(rest), 1;
            fclose(file);
        } else return fprintf(stderr, "what is %s?\n", line), 2;
    }
    puts("done");
    return 0;
}
