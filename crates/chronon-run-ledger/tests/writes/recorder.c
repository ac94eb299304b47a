/* Loaded before the C library (LD_PRELOAD): writes down every change that the process makes to the files of
 * RECORD_FOLDER, in order, to RECORD_LOG. A record is: kind, length of the name, name, offset, length, bytes.
 * Kinds: w write, t truncate to `offset`, s sync, d sync of the folder, u unlink.
 * SQLite's shared memory is left out: it does not survive a power loss. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int record_log = -1;

static void all(const void *bytes, size_t length) {
  const char *rest = bytes;
  while (length > 0) {
    long written = syscall(SYS_write, record_log, rest, length);
    if (written <= 0) _exit(97);
    rest += written;
    length -= written;
  }
}

/* The name below the folder; "" for the folder itself; NULL for anything else. */
static const char *below(const char *path) {
  const char *folder = getenv("RECORD_FOLDER");
  size_t length = folder ? strlen(folder) : 0;
  if (!folder || strncmp(path, folder, length) != 0) return NULL;
  if (path[length] == 0) return "";
  if (path[length] != '/') return NULL;
  const char *name = path + length + 1;
  size_t end = strlen(name);
  if (end > 4 && strcmp(name + end - 4, "-shm") == 0) return NULL;
  return name;
}

static const char *named(int fd, char *path) {
  char link[64] = "/proc/self/fd/";
  char digits[16];
  int count = 0, at = strlen(link);
  if (fd < 0) return NULL;
  do digits[count++] = '0' + fd % 10; while ((fd /= 10) > 0);
  while (count > 0) link[at++] = digits[--count];
  link[at] = 0;
  long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (length < 0) return NULL;
  path[length] = 0;
  return below(path);
}

static void record(char kind, const char *name, uint64_t offset, const void *bytes, uint64_t length) {
  uint8_t name_length = strlen(name);
  if (record_log < 0) {
    record_log = syscall(SYS_openat, AT_FDCWD, getenv("RECORD_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record_log < 0) _exit(98);
  }
  all(&kind, 1);
  all(&name_length, 1);
  all(name, name_length);
  all(&offset, 8);
  all(&length, 8);
  if (bytes) all(bytes, length);
}

/* Does what was asked, and writes it down if it was done. */
static ssize_t put(int fd, const void *bytes, size_t length, off_t offset) {
  char path[PATH_MAX];
  pthread_mutex_lock(&order);
  ssize_t done = syscall(SYS_pwrite64, fd, bytes, length, offset);
  const char *name = done > 0 ? named(fd, path) : NULL;
  if (name) record('w', name, offset, bytes, done);
  pthread_mutex_unlock(&order);
  return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return put(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return put(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
  char path[PATH_MAX];
  pthread_mutex_lock(&order);
  const char *name = named(fd, path);
  if (name && (fcntl(fd, F_GETFL) & O_APPEND)) lseek(fd, 0, SEEK_END);
  off_t offset = name ? lseek(fd, 0, SEEK_CUR) : 0;
  ssize_t done = syscall(SYS_write, fd, bytes, length);
  if (name && done > 0) record('w', name, offset, bytes, done);
  pthread_mutex_unlock(&order);
  return done;
}

static int cut(int fd, off_t length) {
  char path[PATH_MAX];
  pthread_mutex_lock(&order);
  int failed = syscall(SYS_ftruncate, fd, length);
  const char *name = failed ? NULL : named(fd, path);
  if (name) record('t', name, length, NULL, 0);
  pthread_mutex_unlock(&order);
  return failed;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

static int synced(int fd, long call) {
  char path[PATH_MAX];
  pthread_mutex_lock(&order);
  int failed = syscall(call, fd);
  const char *name = failed ? NULL : named(fd, path);
  if (name) record(*name ? 's' : 'd', name, 0, NULL, 0);
  pthread_mutex_unlock(&order);
  return failed;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int unlink(const char *path) {
  pthread_mutex_lock(&order);
  int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  const char *name = failed ? NULL : below(path);
  if (name && *name) record('u', name, 0, NULL, 0);
  pthread_mutex_unlock(&order);
  return failed;
}
