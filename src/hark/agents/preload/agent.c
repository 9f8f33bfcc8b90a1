// The preloaded agent: gives hark the TLS secrets of every dynamically linked program that uses the OpenSSL API
// (OpenSSL 1.1.1 and 3, LibreSSL, shared BoringSSL), and carries itself into children whose environment was emptied.
//
// Theory of operation
//   Every SSL_CTX gets a key log callback of ours when it is made, and again when an SSL is made from it. The callback
//   sends the line to an abstract socket of the network namespace and then calls the program's own callback, which is
//   kept in the SSL_CTX's ex_data; a program that asks for its callback gets its own back.
//   Who calls us decides which libssl is meant: an RTLD_LOCAL library is invisible to RTLD_NEXT, so the symbol is
//   looked up in the caller's own dependency tree. Programs that dlopen libssl and take its functions by dlsym (Python's
//   ctypes, Qt, .NET) get wrappers from our dlsym, one set for each libssl in the process.
//   libssl calls its own exported functions through its PLT and so comes back to us: a thread-local mark tells which
//   library we are inside of.
//
// It must never break a program: every failure means "hark hears less", nothing is printed, errno is kept, no memory is
// allocated, no lock is held while foreign code runs, nothing is written anywhere when hark is not there. All that a
// C library may lack (musl has no dlvsym) is a weak symbol. Programs of another C library than the agent's never load
// it: the path in LD_PRELOAD holds $LIB, which only glibc expands. Built against another library, the agent leaves
// dlsym and exec alone, for it could not reach the real ones.
//
// Not done: overwriting code in libssl, LD_AUDIT (slows every call in old glibc), a descriptor kept open (programs close
// or count them).
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define RETURN_ADDRESS __builtin_return_address(0)

extern char **environ;
extern void *dlvsym(void *, const char *, const char *) __attribute__((weak));
extern int dladdr1(const void *, Dl_info *, void **, int) __attribute__((weak));

// ---- where lines go ------------------------------------------------------------------------------------------------

static const char SOCKET_NAME[] = "\0hark-keys";
enum { LINE_MAX_BYTES = 512, PATIENCE = 20 };  // PATIENCE: tries of half a millisecond while hark's queue is full

static void send_line(const char *line) {
  size_t length = strlen(line);
  if (length == 0 || length > LINE_MAX_BYTES) return;
  int kept = errno;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, SOCKET_NAME, sizeof SOCKET_NAME - 1);
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + sizeof SOCKET_NAME - 1;
  // Not by socket(), which is host.c's and gives one of the host's network namespace.
  int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    for (int i = 0; i < PATIENCE; i++) {
      if (sendto(fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, size) >= 0) break;
      if (errno != EAGAIN && errno != EINTR) break;
      nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    close(fd);
  }
  errno = kept;
}

// ---- the libssls of this process -----------------------------------------------------------------------------------

typedef void (*keylog_callback)(const void *ssl, const char *line);
typedef void *(*dlsym_function)(void *, const char *);

struct library {
  _Atomic(void *) map;  // its link_map; set last, when the rest is ready
  void *(*ctx_new)(const void *);
  void *(*ctx_new_ex)(void *, const char *, const void *);
  void *(*ssl_new)(void *);
  void (*set)(void *, keylog_callback);
  keylog_callback (*get)(const void *);
  void *(*ssl_ctx)(const void *);
  int (*set_data)(void *, int, void *);
  void *(*get_data)(const void *, int);
  int index;   // of our ex_data slot
  int usable;  // all of the above is there
};

enum { LIBRARIES = 4 };
static struct library libraries[LIBRARIES];
static _Atomic int filling;
static __thread int inside __attribute__((tls_model("initial-exec"))) = -1;

static dlsym_function real_dlsym(void) {
  static _Atomic(void *) found;
  void *function = atomic_load(&found);
  if (!function && dlvsym) {
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.0"};
    for (unsigned i = 0; i < sizeof versions / sizeof *versions && !function; i++)
      function = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    atomic_store(&found, function);
  }
#ifndef __GLIBC__
  if (!function) function = (void *)dlsym;
#endif
  return (dlsym_function)function;
}

static struct link_map *map_of(const void *address) {
  Dl_info info;
  struct link_map *map = NULL;
  if (!address || !dladdr1 || !dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP)) return NULL;
  return map;
}

static void chain(int which, const void *ssl, const char *line) {
  send_line(line);
  struct library *lib = &libraries[which];
  void *ctx = lib->ssl_ctx(ssl);
  keylog_callback own = ctx ? (keylog_callback)lib->get_data(ctx, lib->index) : NULL;
  if (own) own(ssl, line);
}

#define CALLBACK(i) \
  static void callback##i(const void *ssl, const char *line) { chain(i, ssl, line); }
CALLBACK(0) CALLBACK(1) CALLBACK(2) CALLBACK(3)
static const keylog_callback callbacks[LIBRARIES] = {callback0, callback1, callback2, callback3};

// Put our callback into a context and keep the program's.
static void hook(int which, void *ctx) {
  if (which < 0 || !ctx || !libraries[which].usable) return;
  struct library *lib = &libraries[which];
  keylog_callback now = lib->get(ctx);
  if (now == callbacks[which]) return;
  if (now) lib->set_data(ctx, lib->index, (void *)now);
  lib->set(ctx, callbacks[which]);
}

// The symbol of this very object: a handle also searches what the object depends on.
static void *own_symbol(void *handle, struct link_map *map, const char *name) {
  dlsym_function look = real_dlsym();
  void *symbol = look ? look(handle, name) : NULL;
  return symbol && map_of(symbol) == map ? symbol : NULL;
}

static void fill(struct library *lib, struct link_map *map) {
  // The handle is kept for good: the library must stay while our callback is in it.
  void *handle = dlopen(map->l_name[0] ? map->l_name : NULL, RTLD_NOLOAD | RTLD_LAZY);
  if (!handle) return;
  lib->ctx_new = own_symbol(handle, map, "SSL_CTX_new");
  lib->ctx_new_ex = own_symbol(handle, map, "SSL_CTX_new_ex");
  lib->ssl_new = own_symbol(handle, map, "SSL_new");
  lib->set = own_symbol(handle, map, "SSL_CTX_set_keylog_callback");
  lib->get = own_symbol(handle, map, "SSL_CTX_get_keylog_callback");
  lib->ssl_ctx = own_symbol(handle, map, "SSL_get_SSL_CTX");
  lib->set_data = own_symbol(handle, map, "SSL_CTX_set_ex_data");
  lib->get_data = own_symbol(handle, map, "SSL_CTX_get_ex_data");
  if (!lib->set || !lib->get || !lib->ssl_ctx || !lib->set_data || !lib->get_data) return;
  enum { CLASS_SSL_CTX = 1 };
  int (*new_index)(int, long, void *, void *, void *, void *) = real_dlsym()(handle, "CRYPTO_get_ex_new_index");
  int (*new_ssl_index)(long, void *, void *, void *, void *) = own_symbol(handle, map, "SSL_CTX_get_ex_new_index");
  lib->index = new_ssl_index ? new_ssl_index(0, NULL, NULL, NULL, NULL)
               : new_index   ? new_index(CLASS_SSL_CTX, 0, NULL, NULL, NULL, NULL)
                             : -1;
  lib->usable = lib->index > 0;  // index 0 is the application's own by custom
}

// The entry of the library that holds an address, made if need be; -1 where it is none of ours to hook.
static int library_of(const void *address) {
  struct link_map *map = map_of(address);
  if (!map) return -1;
  for (int i = 0; i < LIBRARIES; i++)
    if (atomic_load(&libraries[i].map) == map) return i;
  for (int tries = 0; atomic_exchange(&filling, 1); tries++) {
    if (tries > 2000) return -1;  // a fork while another thread was in here: hear less, do not hang
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
  }
  int i = 0;
  while (i < LIBRARIES && libraries[i].map && libraries[i].map != map) i++;
  if (i < LIBRARIES && !libraries[i].map) {
    fill(&libraries[i], map);
    atomic_store(&libraries[i].map, map);
  }
  atomic_store(&filling, 0);
  return i < LIBRARIES ? i : -1;
}

enum function { CTX_NEW, CTX_NEW_EX, SSL_NEW, SET, GET, FUNCTIONS };
static const char *const names[FUNCTIONS] = {"SSL_CTX_new", "SSL_CTX_new_ex", "SSL_new", "SSL_CTX_set_keylog_callback",
                                             "SSL_CTX_get_keylog_callback"};

static void *member(int which, enum function function) {
  struct library *lib = &libraries[which];
  void *const members[FUNCTIONS] = {lib->ctx_new, lib->ctx_new_ex, lib->ssl_new, lib->set, lib->get};
  return members[function];
}

// The function that the caller is bound to.
static void *next(enum function function, const void *caller) {
  struct link_map *map = map_of(caller), *me = map_of((const void *)next);
  if (map && map == me) return inside >= 0 ? member(inside, function) : NULL;
  dlsym_function look = real_dlsym();
  if (!look) return NULL;
  // Inside a libssl that came back to us through its PLT: its own function.
  if (inside >= 0 && map && atomic_load(&libraries[inside].map) == map) return member(inside, function);
  void *symbol = NULL;
  if (map && map->l_name[0]) {
    void *handle = dlopen(map->l_name, RTLD_NOLOAD | RTLD_LAZY);
    if (handle) {
      symbol = look(handle, names[function]);
      dlclose(handle);
    }
  }
  if (symbol && map_of(symbol) == me) symbol = NULL;
  return symbol ? symbol : look(RTLD_NEXT, names[function]);
}

// ---- the interposed functions --------------------------------------------------------------------------------------

static void *make_ctx(int which, void *function, const void *method) {
  int outer = inside;
  inside = which;
  void *ctx = ((void *(*)(const void *))function)(method);
  inside = outer;
  hook(which, ctx);
  return ctx;
}

static void *make_ctx_ex(int which, void *function, void *libctx, const char *query, const void *method) {
  int outer = inside;
  inside = which;
  void *ctx = ((void *(*)(void *, const char *, const void *))function)(libctx, query, method);
  inside = outer;
  hook(which, ctx);
  return ctx;
}

static void *make_ssl(int which, void *function, void *ctx) {
  hook(which, ctx);
  int outer = inside;
  inside = which;
  void *ssl = ((void *(*)(void *))function)(ctx);
  inside = outer;
  return ssl;
}

static void set_callback(int which, void *function, void *ctx, keylog_callback own) {
  if (which < 0 || !libraries[which].usable) {
    ((void (*)(void *, keylog_callback))function)(ctx, own);
    return;
  }
  hook(which, ctx);
  libraries[which].set_data(ctx, libraries[which].index, (void *)own);
}

static keylog_callback get_callback(int which, void *function, const void *ctx) {
  keylog_callback now = ((keylog_callback(*)(const void *))function)(ctx);
  if (which >= 0 && libraries[which].usable && now == callbacks[which])
    return (keylog_callback)libraries[which].get_data(ctx, libraries[which].index);
  return now;
}

EXPORT void *SSL_CTX_new(const void *method) {
  void *function = next(CTX_NEW, RETURN_ADDRESS);
  return function ? make_ctx(library_of(function), function, method) : NULL;
}

EXPORT void *SSL_CTX_new_ex(void *libctx, const char *query, const void *method) {
  void *function = next(CTX_NEW_EX, RETURN_ADDRESS);
  return function ? make_ctx_ex(library_of(function), function, libctx, query, method) : NULL;
}

EXPORT void *SSL_new(void *ctx) {
  void *function = next(SSL_NEW, RETURN_ADDRESS);
  return function ? make_ssl(library_of(function), function, ctx) : NULL;
}

EXPORT void SSL_CTX_set_keylog_callback(void *ctx, keylog_callback own) {
  void *function = next(SET, RETURN_ADDRESS);
  if (function) set_callback(library_of(function), function, ctx, own);
}

EXPORT keylog_callback SSL_CTX_get_keylog_callback(const void *ctx) {
  void *function = next(GET, RETURN_ADDRESS);
  return function ? get_callback(library_of(function), function, ctx) : NULL;
}

// Entry points for dlsym() callers: one set a library, for they cannot be told apart by who calls.
#define WRAPPERS(i)                                                                                                \
  static void *ctx_new##i(const void *m) { return make_ctx(i, (void *)libraries[i].ctx_new, m); }                  \
  static void *ctx_new_ex##i(void *l, const char *q, const void *m) {                                              \
    return make_ctx_ex(i, (void *)libraries[i].ctx_new_ex, l, q, m);                                               \
  }                                                                                                                \
  static void *ssl_new##i(void *c) { return make_ssl(i, (void *)libraries[i].ssl_new, c); }                        \
  static void set##i(void *c, keylog_callback own) { set_callback(i, (void *)libraries[i].set, c, own); }          \
  static keylog_callback get##i(const void *c) { return get_callback(i, (void *)libraries[i].get, c); }
WRAPPERS(0) WRAPPERS(1) WRAPPERS(2) WRAPPERS(3)
#define SET_OF(i) {(void *)ctx_new##i, (void *)ctx_new_ex##i, (void *)ssl_new##i, (void *)set##i, (void *)get##i}
static void *const wrappers[LIBRARIES][FUNCTIONS] = {SET_OF(0), SET_OF(1), SET_OF(2), SET_OF(3)};

static int ours(const char *name) {
  if (!name || strncmp(name, "SSL_", 4) != 0) return -1;
  for (int i = 0; i < FUNCTIONS; i++)
    if (strcmp(name, names[i]) == 0) return i;
  return -1;
}

static void *substitute(int function, void *symbol) {
  struct link_map *map = map_of(symbol);
  if (!map) return symbol;
  if (map == map_of((const void *)substitute)) {
    // RTLD_DEFAULT found our own export. Without a libssl behind it, it is a function that is not there.
    dlsym_function look = real_dlsym();
    return look && look(RTLD_NEXT, names[function]) ? symbol : NULL;
  }
  int which = library_of(symbol);
  if (which < 0 || !libraries[which].usable || member(which, function) != symbol) return symbol;
  return wrappers[which][function];
}

void *behind(const char *name) {
  dlsym_function look = real_dlsym();
  return look ? look(RTLD_NEXT, name) : NULL;
}

// Must stay a tail call: the real dlsym looks at its return address to know its caller (RTLD_NEXT, RTLD_DEFAULT).
#ifdef __GLIBC__
EXPORT void *dlsym(void *handle, const char *name) {
  dlsym_function look = real_dlsym();
  if (__builtin_expect(!look, 0)) return NULL;
  if (__builtin_expect(ours(name) < 0, 1)) return look(handle, name);
  return substitute(ours(name), look(handle, name));
}

// ---- children with an emptied environment --------------------------------------------------------------------------
// `env -i`, execle with a list of its own, sudo-like cleaners: what we were loaded with is put back if it is missing.
// Only missing variables are added, and only those that were there when this process began.

enum { CARRIED = 3 };
static const char *const carried_names[CARRIED] = {"LD_PRELOAD=", "SSLKEYLOGFILE=", "NODE_OPTIONS="};
static char *carried[CARRIED];

__attribute__((constructor)) static void remember(void) {
  for (char **entry = environ; entry && *entry; entry++)
    for (int i = 0; i < CARRIED; i++)
      if (strncmp(*entry, carried_names[i], strlen(carried_names[i])) == 0 && !carried[i]) carried[i] = *entry;
  // The environment's strings may be overwritten (setproctitle); a copy costs a page at most.
  size_t total = 0;
  for (int i = 0; i < CARRIED; i++) total += carried[i] ? strlen(carried[i]) + 1 : 0;
  static char room[4096];
  char *at = room;
  if (total > sizeof room || !carried[0] || !strstr(carried[0], "libhark-keys")) {
    memset(carried, 0, sizeof carried);
    return;
  }
  for (int i = 0; i < CARRIED; i++)
    if (carried[i]) {
      size_t size = strlen(carried[i]) + 1;
      carried[i] = memcpy(at, carried[i], size);
      at += size;
    }
}

static size_t count(char *const *list) {
  size_t n = 0;
  while (list && list[n]) n++;
  return n;
}

static int has(char *const *list, const char *name) {
  for (; list && *list; list++)
    if (strncmp(*list, name, strlen(name)) == 0) return 1;
  return 0;
}

// `into` has room for count(list) + CARRIED + 1 entries. On the stack of a vfork child nothing may be allocated.
static char **carry(char *const *list, char **into) {
  size_t n = 0;
  for (; list && list[n]; n++) into[n] = list[n];
  if (!has(list, carried_names[0]))
    for (int i = 0; i < CARRIED; i++)
      if (carried[i] && !has(list, carried_names[i])) into[n++] = carried[i];
  into[n] = NULL;
  return into;
}

#define CARRY(envp) carry(envp, alloca((count(envp) + CARRIED + 1) * sizeof(char *)))
#define MISSING \
  do {          \
    errno = ENOSYS; \
    return -1;  \
  } while (0)

EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
  int (*function)(const char *, char *const *, char *const *) = behind("execve");
  if (!function) MISSING;
  return function(path, argv, CARRY(envp));
}

EXPORT int execv(const char *path, char *const argv[]) {
  int (*function)(const char *, char *const *, char *const *) = behind("execve");
  if (!function) MISSING;
  return function(path, argv, CARRY(environ));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
  int (*function)(const char *, char *const *, char *const *) = behind("execvpe");
  if (!function) MISSING;
  return function(file, argv, CARRY(envp));
}

EXPORT int execvp(const char *file, char *const argv[]) {
  int (*function)(const char *, char *const *, char *const *) = behind("execvpe");
  if (!function) MISSING;
  return function(file, argv, CARRY(environ));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
  int (*function)(int, char *const *, char *const *) = behind("fexecve");
  if (!function) MISSING;
  return function(fd, argv, CARRY(envp));
}

#define LIST(first)                                                           \
  va_list list, again;                                                        \
  va_start(list, first);                                                      \
  va_copy(again, list);                                                       \
  size_t n = 1;                                                               \
  while (va_arg(list, char *)) n++;                                           \
  va_end(list);                                                               \
  char **argv = alloca((n + 1) * sizeof(char *));                             \
  argv[0] = (char *)first;                                                    \
  for (size_t i = 1; i <= n; i++) argv[i] = va_arg(again, char *)

EXPORT int execl(const char *path, const char *first, ...) {
  LIST(first);
  va_end(again);
  return execv(path, argv);
}

EXPORT int execlp(const char *file, const char *first, ...) {
  LIST(first);
  va_end(again);
  return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *first, ...) {
  LIST(first);
  char *const *envp = va_arg(again, char *const *);
  va_end(again);
  return execve(path, argv, envp);
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
  int (*function)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
                  char *const *) = behind("posix_spawn");
  if (!function) return ENOSYS;
  return function(pid, path, actions, attributes, argv, CARRY(envp));
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
  int (*function)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
                  char *const *) = behind("posix_spawnp");
  if (!function) return ENOSYS;
  return function(pid, file, actions, attributes, argv, CARRY(envp));
}
#endif
