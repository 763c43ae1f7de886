// escape PATH...: tries to open each path beneath each preopened descriptor, by WASI calls of its own, past the C library's
// look-up: following symlinks and not, as a file and as a directory, for reading and for creating. One line for each success:
// `fd PATH read TEXT`, `fd PATH directory`, `fd PATH created`. The exit code is 0.
#include <stdint.h>
#include <stdio.h>
#include <wasi/api.h>

static int prestat_ends(__wasi_fd_t fd) {
    __wasi_prestat_t prestat;
    return __wasi_fd_prestat_get(fd, &prestat) != 0;
}

static int opens(__wasi_fd_t at, int follow, const char *path, int flags, __wasi_rights_t rights, __wasi_fd_t *fd) {
    return __wasi_path_open(at, follow, path, flags, rights, 0, 0, fd) == 0;
}

static void close_it(__wasi_fd_t fd) {
    if (__wasi_fd_close(fd)) puts("close failed");
}

int main(int argc, char **argv) {
    for (__wasi_fd_t at = 3; !prestat_ends(at); at++)
        for (int i = 1; i < argc; i++) {
            __wasi_fd_t fd;
            for (int follow = 0; follow < 2; follow++) {
                if (opens(at, follow, argv[i], 0, __WASI_RIGHTS_FD_READ, &fd)) {
                    static uint8_t buffer[256];
                    __wasi_iovec_t iovec = {buffer, sizeof buffer - 1};
                    __wasi_size_t size = 0;
                    if (!__wasi_fd_read(fd, &iovec, 1, &size)) printf("%d %s read %.*s\n", at, argv[i], (int)size, buffer);
                    close_it(fd);
                }
                if (opens(at, follow, argv[i], __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR, &fd)) {
                    printf("%d %s directory\n", at, argv[i]);
                    close_it(fd);
                }
                if (opens(at, follow, argv[i], __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, __WASI_RIGHTS_FD_WRITE, &fd)) {
                    printf("%d %s created\n", at, argv[i]);
                    close_it(fd);
                }
            }
        }
    return 0;
}
