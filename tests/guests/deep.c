/* Makes N directories, one in the other, by descriptors: at any time two of them are open. */
#include <stdio.h>
#include <stdlib.h>
#include <wasi/api.h>

#define RIGHTS 0x7fbe200ULL /* all that a directory can have */

int main(int argc, char **argv)
{
    long wanted = atol(argv[1]), made;
    const char *first = argc > 2 ? argv[2] : ".";
    __wasi_fd_t root = 3, directory;
    int error = __wasi_path_open(root, 1, first, __WASI_OFLAGS_DIRECTORY, RIGHTS, RIGHTS, 0, &directory);

    for (made = 0; !error && made < wanted; made++) {
        __wasi_fd_t inner;
        error = __wasi_path_create_directory(directory, "d");
        if (error)
            break;
        error = __wasi_path_open(directory, 0, "d", __WASI_OFLAGS_DIRECTORY, RIGHTS, RIGHTS, 0, &inner);
        if (error)
            break;
        error = __wasi_fd_close(directory);
        directory = inner;
    }
    printf("made %ld, then errno %d\n", made, error);
    return 7;
}
