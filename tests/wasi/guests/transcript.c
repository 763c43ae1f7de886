// Uses files, directories, time and the environment by way of the C library, and tells what it saw. What it says depends
// on nothing but its arguments, its environment, its input and the directory it is given.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
  char *names[64];
  int count = 0;
  DIR *directory = opendir(path);
  if (!directory) {
    printf("opendir %s: errno %d\n", path, errno);
    return;
  }
  for (struct dirent *entry; (entry = readdir(directory)) && count < 64;) names[count++] = strdup(entry->d_name);
  closedir(directory);
  qsort(names, count, sizeof *names, by_name);
  printf("%s:", path);
  for (int i = 0; i < count; i++) printf(" %s", names[i]);
  printf("\n");
}

static void look(const char *path) {
  struct stat status;
  if (lstat(path, &status)) printf("lstat %s: errno %d\n", path, errno);
  else printf("lstat %s: type %o size %lld\n", path, status.st_mode & S_IFMT, S_ISDIR(status.st_mode) ? 0LL : (long long)status.st_size);
}

int main(int argc, char **argv) {
  for (int i = 0; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
  printf("GREETING: %s\n", getenv("GREETING"));

  char line[64];
  while (fgets(line, sizeof line, stdin)) printf("input: %s", line);

  mkdir("/made", 0777);
  FILE *file = fopen("/made/file", "w+");
  for (int i = 0; i < 1000; i++) fprintf(file, "line %d\n", i);
  fseek(file, -9, SEEK_END);
  printf("last: %s", fgets(line, sizeof line, file));
  fclose(file);
  file = fopen("/made/file", "a");
  fputs("appended\n", file);
  fclose(file);
  look("/made/file");
  truncate("/made/file", 10);
  look("/made/file");

  printf("rename: %d\n", rename("/made/file", "/made/renamed"));
  printf("symlink: %d\n", symlink("renamed", "/made/link"));
  printf("link: %d\n", link("/made/renamed", "/made/hard"));
  look("/made/link");
  ssize_t length = readlink("/made/link", line, sizeof line);
  printf("readlink: %.*s\n", (int)length, line);
  list("/made");
  list("/");
  list("/nowhere");
  printf("rmdir: %d errno %d\n", rmdir("/made"), errno);
  printf("unlink: %d %d %d\n", unlink("/made/renamed"), unlink("/made/hard"), unlink("/made/link"));
  printf("rmdir: %d\n", rmdir("/made"));
  look("/made");

  int fd = open("/input", O_RDWR);
  printf("pwrite: %zd\n", pwrite(fd, "XY", 2, 1));
  printf("pread: %zd", pread(fd, line, 5, 0));
  printf(" %.5s\n", line);
  struct pollfd poll_file = {fd, POLLIN, 0};
  printf("poll: %d", poll(&poll_file, 1, 1000));
  printf(" %d\n", poll_file.revents & POLLIN);
  close(fd);
  printf("close again: %d errno %d\n", close(fd), errno);

  struct timespec now, pause = {0, 1000000};
  printf("clock: %d\n", clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec > 1000000000);
  printf("sleep: %d\n", nanosleep(&pause, NULL));
  unsigned char random[16] = {0};
  printf("random: %d\n", getentropy(random, sizeof random));
  fprintf(stderr, "to the other stream\n");
  exit(argc);
}
