/* Widens a moment that is too short to be hit: a thread that has just taken a lock for writing holds on to it.

   Where the thread is ending (WIDE_LOCKS=ending), for 2 ms: OpenSSL clears up after a thread in the destructors of its
   thread-specific data, where no Python runs any more. Everywhere (WIDE_LOCKS=always), for a fifth of a millisecond. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int (*real)(pthread_rwlock_t *);
static pthread_key_t key;
static int always;
static __thread int ending;

static void end(void *unused) { (void)unused; ending = 1; }

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("WIDE_LOCKS");
    always = where != NULL && strcmp(where, "always") == 0;
    real = dlsym(RTLD_NEXT, "pthread_rwlock_wrlock");
    pthread_key_create(&key, end); /* before anybody else: the destructors run in this order */
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock) {
    struct timespec while_ = {0, ending ? 2000000 : 200000};
    int result = real(lock);
    pthread_setspecific(key, &key);
    if (result == 0 && (ending || always)) nanosleep(&while_, NULL);
    return result;
}
