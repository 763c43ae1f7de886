// preopens: lists the preopened descriptors, as `fd NAME rights/inherited type`, by WASI calls of its own.
#include <stdint.h>
#include <stdio.h>
#include <wasi/api.h>

int main(void) {
    for (__wasi_fd_t fd = 3;; fd++) {
        __wasi_prestat_t prestat;
        if (__wasi_fd_prestat_get(fd, &prestat)) return 0;
        static uint8_t name[4096];
        __wasi_fdstat_t status;
        if (prestat.u.dir.pr_name_len >= sizeof name) return 1;
        if (__wasi_fd_prestat_dir_name(fd, name, prestat.u.dir.pr_name_len)) return 2;
        name[prestat.u.dir.pr_name_len] = 0;
        if (__wasi_fd_fdstat_get(fd, &status)) return 3;
        printf("%d %s %llx/%llx %d\n", fd, name, (unsigned long long)status.fs_rights_base,
               (unsigned long long)status.fs_rights_inheriting, status.fs_filetype);
    }
}
