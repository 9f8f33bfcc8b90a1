// The preloaded agent's second half: what a namespace changes although the program did not ask for one.
//
// Theory of operation
//   In a user namespace that maps the user alone, the kernel shows every other owner as 65534, and the root user's files
//   seem to be nobody's; the user's further groups are shown so too, and cannot be given to a file. Abstract Unix sockets
//   belong to the network namespace, so those of the host are not there. newuidmap has no privilege inside.
//   hark's tapper stands outside, as the same user. Where a call's result shows that the namespace made the difference,
//   the wrapper asks it (abstract socket "hark-host", one question a connection), and gives the program the answer that
//   it would have had: the owner of a file that is handed over as a descriptor, a Unix socket of the host's, the group of
//   a file changed. The capture process does nothing that the user could not do (tap/namespace/hostside.py).
//   Owners that were asked for stand in a table that all processes of the tree map: a file is asked for once.
//
// It must never break a program: no answer, or a namespace of the program's own, means that the result stays as the
// kernel gave it. errno is kept; no memory is allocated, no descriptor stays open; nothing here is a cancellation point
// (raw system calls). A process that gives up new privileges, as every sandbox does before its system call filter, asks
// no more: the filter may end who makes a call that it did not expect.
//
// Not covered: programs that make system calls without the C library (Go, static ones), and the C library's own uses
// (fts, glob). They see 65534.
#define _GNU_SOURCE
#include <features.h>

#include "agent.h"
#ifdef __GLIBC__

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { OVERFLOW_ID = 65534 };  // /proc/sys/kernel/overflowuid, which nobody changes
enum kind { OWNER = 'o', SOCKET = 's', CHOWN = 'c', GROUPS = 'g', MAP = 'm' };

static const char HOST_NAME[] = "\0hark-host";
static _Atomic int off;  // this process asks no more

// ---- asking --------------------------------------------------------------------------------------------------------

// One question with a descriptor (or -1) to an answer with one (or -1 in *taken, which may be NULL); the answer's size,
// or -1 where there is none. seconds: how long it may take. errno is lost.
static ssize_t ask(const void *question, size_t size, int given, void *answer, size_t room, int *taken, int seconds) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, HOST_NAME, sizeof HOST_NAME - 1);
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + sizeof HOST_NAME - 1;
  int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct timeval patience = {.tv_sec = seconds};
  ssize_t got = -1;
  union {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec part = {(void *)question, size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (given >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &given, sizeof given);
  }
  syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (syscall(SYS_connect, fd, &address, length) == 0 && syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL) >= 0) {
    part = (struct iovec){answer, room};
    message.msg_control = taken ? &control : NULL;
    message.msg_controllen = taken ? sizeof control : 0;
    do {
      got = syscall(SYS_recvmsg, fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (taken) {
      struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
      *taken = -1;
      if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(taken, CMSG_DATA(head), sizeof *taken);
    }
  }
  syscall(SYS_close, fd);
  if (got <= 0) off = 1;  // nobody is there, or it is not for us: a namespace of the program's own
  return got > 0 ? got : -1;
}

// ---- owners --------------------------------------------------------------------------------------------------------

struct file {
  uint64_t dev, ino, changed;  // changed: ctime in ns
};

struct entry {  // as the capture process writes them; `check` is the exclusive or of all else, so that a torn one is none
  uint64_t dev, ino, changed, owner, check;  // owner: uid, and gid << 32
};

enum { ENTRIES = 1 << 14, HEADER = 64, TABLE_BYTES = HEADER + ENTRIES * (int)sizeof(struct entry) };
static _Atomic(const char *) table;  // its header begins with the number of the user namespace that it is for

// Map the table of the tree; NULL where it cannot be had, or where this process is in a user namespace of its own, in
// which others' files seem to be nobody's without hark too. Then there is nothing to ask either.
static const char *table_of_tree(void) {
  const char *known = atomic_load(&table);
  if (known || off) return known;
  off = 1;
  static const char mark[] = "/private/lib", name[] = "/private/owners";
  Dl_info info;
  const char *end = NULL, *self = dladdr((void *)table_of_tree, &info) ? info.dli_fname : NULL;
  for (const char *at = self; at && (at = strstr(at, mark)); at++) end = at;
  char path[512];
  if (!end || (size_t)(end - self) + sizeof name > sizeof path) return NULL;
  memcpy(path, self, end - self);
  memcpy(path + (end - self), name, sizeof name);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  void *mapped = (void *)syscall(SYS_mmap, NULL, TABLE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  struct statx space;
  if (mapped == MAP_FAILED || syscall(SYS_statx, AT_FDCWD, "/proc/self/ns/user", 0, STATX_INO, &space) != 0) return NULL;
  if (*(const uint64_t *)mapped != space.stx_ino) return NULL;
  off = 0;
  atomic_store(&table, mapped);
  return mapped;
}

static int known_owner(const struct file *file, uint64_t *owner) {
  const char *entries = table_of_tree();
  if (!entries) return 0;
  struct entry entry = ((const struct entry *)(entries + HEADER))[(file->ino * 0x9E3779B97F4A7C15u >> 40) % ENTRIES];
  if (entry.dev != file->dev || entry.ino != file->ino || entry.changed != file->changed) return 0;
  if (entry.check != (entry.dev ^ entry.ino ^ entry.changed ^ entry.owner)) return 0;
  *owner = entry.owner;
  return 1;
}

// The owner of what a stat call has just described: by a descriptor, or by directory, path and AT_ flags.
static int true_owner(int fd, const char *path, int flags, const struct file *file, uint64_t *owner) {
  if (known_owner(file, owner)) return 1;
  if (off) return 0;
  int handle = fd;
  if (path && *path)
    handle = (int)syscall(SYS_openat, fd, path, O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
  else if (fd == AT_FDCWD)
    handle = (int)syscall(SYS_openat, fd, ".", O_PATH | O_CLOEXEC);
  if (handle < 0) return 0;
  struct entry answer = {0};
  const char question = OWNER;
  ssize_t got = ask(&question, 1, handle, &answer, sizeof answer, NULL, 1);
  if (handle != fd) syscall(SYS_close, handle);
  if (got != sizeof answer || answer.dev != file->dev || answer.ino != file->ino) return 0;
  *owner = answer.owner;
  return 1;
}

static void correct(int fd, const char *path, int flags, uint64_t dev, uint64_t ino, int64_t seconds, uint32_t nanos,
                    uint32_t *uid, uint32_t *gid) {
  if (*uid != OVERFLOW_ID && *gid != OVERFLOW_ID) return;
  int kept = errno;
  struct file file = {dev, ino, (uint64_t)seconds * 1000000000u + nanos};
  uint64_t owner;
  if (true_owner(fd, path, flags, &file, &owner)) {
    if (*uid == OVERFLOW_ID) *uid = (uint32_t)owner;
    if (*gid == OVERFLOW_ID) *gid = (uint32_t)(owner >> 32);
  }
  errno = kept;
}

static int corrected(int result, int fd, const char *path, int flags, struct stat *stat) {
  if (result == 0)
    correct(fd, path, flags, stat->st_dev, stat->st_ino, stat->st_ctim.tv_sec, (uint32_t)stat->st_ctim.tv_nsec,
            &stat->st_uid, &stat->st_gid);
  return result;
}

// Every function that is wrapped here, found when the agent is loaded: looking one up may take a lock, and stat() may be
// called where none must be taken.
#define WRAPPED(X)                                                                                                \
  X(stat) X(lstat) X(fstat) X(fstatat) X(stat64) X(lstat64) X(fstat64) X(fstatat64) X(statx) X(__xstat) X(__lxstat) \
  X(__fxstat) X(__fxstatat) X(__xstat64) X(__lxstat64) X(__fxstat64) X(__fxstatat64) X(socket) X(chown) X(lchown)   \
  X(fchown) X(fchownat) X(getgroups) X(prctl)
#define NUMBER(name) N_##name,
#define NAME(name) #name,
enum number { WRAPPED(NUMBER) FUNCTIONS };
static const char *const names[FUNCTIONS] = {WRAPPED(NAME)};
static _Atomic(void *) functions[FUNCTIONS];

static void *real(enum number number) {
  void *function = atomic_load_explicit(&functions[number], memory_order_relaxed);
  if (!function) {  // called by another library's constructor before ours
    function = behind(names[number]);
    atomic_store_explicit(&functions[number], function, memory_order_relaxed);
  }
  return function;
}

#define CALL(name, type, ...)              \
  __typeof__(type) function = (__typeof__(type))real(N_##name); \
  if (!function) return errno = ENOSYS, -1; \
  int result = function(__VA_ARGS__)

typedef int (*by_path)(const char *, void *);
typedef int (*by_fd)(int, void *);
typedef int (*by_both)(int, const char *, void *, int);
typedef int (*by_path_v)(int, const char *, void *);
typedef int (*by_fd_v)(int, int, void *);
typedef int (*by_both_v)(int, int, const char *, void *, int);

#define STATS(stat_, lstat_, fstat_, fstatat_, type)                              \
  EXPORT int stat_(const char *path, struct type *into) {                         \
    CALL(stat_, by_path, path, into);                                             \
    return corrected(result, AT_FDCWD, path, 0, (struct stat *)into);             \
  }                                                                               \
  EXPORT int lstat_(const char *path, struct type *into) {                        \
    CALL(lstat_, by_path, path, into);                                            \
    return corrected(result, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, (void *)into);  \
  }                                                                               \
  EXPORT int fstat_(int fd, struct type *into) {                                  \
    CALL(fstat_, by_fd, fd, into);                                                \
    return corrected(result, fd, NULL, 0, (struct stat *)into);                   \
  }                                                                               \
  EXPORT int fstatat_(int fd, const char *path, struct type *into, int flags) {   \
    CALL(fstatat_, by_both, fd, path, into, flags);                               \
    return corrected(result, fd, path, flags, (struct stat *)into);               \
  }
// Older programs' names for the same, with the version of the structure, of which 64-bit machines have one.
#define OLD_STATS(stat_, lstat_, fstat_, fstatat_)                                           \
  EXPORT int stat_(int version, const char *path, struct stat *into) {                       \
    CALL(stat_, by_path_v, version, path, into);                                             \
    return corrected(result, AT_FDCWD, path, 0, into);                                       \
  }                                                                                          \
  EXPORT int lstat_(int version, const char *path, struct stat *into) {                      \
    CALL(lstat_, by_path_v, version, path, into);                                            \
    return corrected(result, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, into);                     \
  }                                                                                          \
  EXPORT int fstat_(int version, int fd, struct stat *into) {                                \
    CALL(fstat_, by_fd_v, version, fd, into);                                                \
    return corrected(result, fd, NULL, 0, into);                                             \
  }                                                                                          \
  EXPORT int fstatat_(int version, int fd, const char *path, struct stat *into, int flags) { \
    CALL(fstatat_, by_both_v, version, fd, path, into, flags);                               \
    return corrected(result, fd, path, flags, into);                                         \
  }

#if defined __LP64__  // where struct stat and struct stat64 are one
STATS(stat, lstat, fstat, fstatat, stat)
STATS(stat64, lstat64, fstat64, fstatat64, stat64)
OLD_STATS(__xstat, __lxstat, __fxstat, __fxstatat)
OLD_STATS(__xstat64, __lxstat64, __fxstat64, __fxstatat64)
#endif

EXPORT int statx(int fd, const char *path, int flags, unsigned mask, struct statx *into) {
  int owners = (mask & (STATX_UID | STATX_GID)) != 0;
  if (owners) mask |= STATX_INO | STATX_CTIME;  // by which the file is known in the table
  CALL(statx, int (*)(int, const char *, int, unsigned, struct statx *), fd, path, flags, mask, into);
  if (result == 0 && owners)
    correct(fd, path, flags, makedev(into->stx_dev_major, into->stx_dev_minor), into->stx_ino, into->stx_ctime.tv_sec,
            into->stx_ctime.tv_nsec, &into->stx_uid, &into->stx_gid);
  return result;
}

// ---- Unix sockets of the host's network namespace ------------------------------------------------------------------

EXPORT int socket(int domain, int type, int protocol) {
  if (domain == AF_UNIX && !off) {
    int kept = errno, taken = -1;
    struct {
      char kind;
      int32_t type, protocol;
    } __attribute__((packed)) question = {SOCKET, type, protocol};
    char answer;
    ask(&question, sizeof question, -1, &answer, 1, &taken, 1);
    errno = kept;
    if (taken >= 0) {
      // As socket() does, give the lowest number that is free: the question had one of its own.
      int lowest = fcntl(taken, type & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
      if (lowest >= 0) syscall(SYS_close, taken);
      errno = kept;
      return lowest >= 0 ? lowest : taken;
    }
  }
  CALL(socket, int (*)(int, int, int), domain, type, protocol);
  return result;
}

// ---- owners changed ------------------------------------------------------------------------------------------------

static int changed(int result, int fd, const char *path, int flags, uid_t uid, gid_t gid) {
  if (result == 0 || (errno != EINVAL && errno != EPERM) || off) return result;
  int kept = errno, handle = fd;
  if (path && *path)
    handle = (int)syscall(SYS_openat, fd, path, O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
  if (handle < 0) return errno = kept, result;
  struct {
    char kind;
    uint32_t uid, gid;
  } __attribute__((packed)) question = {CHOWN, uid, gid};
  int32_t answer;
  ssize_t got = ask(&question, sizeof question, handle, &answer, sizeof answer, NULL, 1);
  if (handle != fd) syscall(SYS_close, handle);
  errno = got == sizeof answer && answer ? answer : kept;
  return got == sizeof answer ? (answer ? -1 : 0) : result;
}

EXPORT int chown(const char *path, uid_t uid, gid_t gid) {
  CALL(chown, int (*)(const char *, uid_t, gid_t), path, uid, gid);
  return changed(result, AT_FDCWD, path, 0, uid, gid);
}

EXPORT int lchown(const char *path, uid_t uid, gid_t gid) {
  CALL(lchown, int (*)(const char *, uid_t, gid_t), path, uid, gid);
  return changed(result, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, uid, gid);
}

EXPORT int fchown(int fd, uid_t uid, gid_t gid) {
  CALL(fchown, int (*)(int, uid_t, gid_t), fd, uid, gid);
  return changed(result, fd, NULL, 0, uid, gid);
}

EXPORT int fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags) {
  CALL(fchownat, int (*)(int, const char *, uid_t, gid_t, int), fd, path, uid, gid, flags);
  return changed(result, fd, path, flags, uid, gid);
}

EXPORT int getgroups(int size, gid_t list[]) {
  CALL(getgroups, int (*)(int, gid_t *), size, list);
  int strange = 0;
  for (int i = 0; size && i < result; i++) strange |= list[i] == OVERFLOW_ID;
  if (!strange || off) return result;
  int kept = errno;
  gid_t groups[256];
  const char question = GROUPS;
  ssize_t got = ask(&question, 1, -1, groups, sizeof groups, NULL, 1);
  if (got == result * (ssize_t)sizeof *groups) memcpy(list, groups, got);
  errno = kept;
  return result;
}

// ---- sandboxes, newuidmap ------------------------------------------------------------------------------------------

EXPORT int prctl(int option, ...) {
  va_list list;
  va_start(list, option);
  unsigned long a = va_arg(list, unsigned long), b = va_arg(list, unsigned long), c = va_arg(list, unsigned long),
                d = va_arg(list, unsigned long);
  va_end(list);
  if (option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP) off = 1;
  CALL(prctl, int (*)(int, ...), option, a, b, c, d);
  return result;
}

// newuidmap and newgidmap write other processes' maps by a privilege that no file gives inside a user namespace: hark
// runs the same command outside, where it has it.
static void map_outside(int argc, char **argv) {
  const char *name = program_invocation_short_name;
  if (strcmp(name, "newuidmap") != 0 && strcmp(name, "newgidmap") != 0) return;
  char question[4096] = {MAP};
  size_t size = 1;
  for (int i = 0; i < argc; i++) {
    size_t length = strlen(argv[i]) + 1;
    if (size + length > sizeof question) return;
    memcpy(question + size, argv[i], length);
    size += length;
  }
  char answer[4096];
  ssize_t got = ask(question, size, -1, answer, sizeof answer, NULL, 10);
  if (got < 1) return;
  if (got > 1 && write(2, answer + 1, got - 1) < 0) return;
  _exit(answer[0]);
}

__attribute__((constructor)) static void find_all(int argc, char **argv) {
  for (int i = 0; i < FUNCTIONS; i++) real(i);
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) off = 1;
  if (!off && argc > 0) map_outside(argc, argv);
}
#endif
