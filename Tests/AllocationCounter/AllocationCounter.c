// An executable's own malloc takes the place of the C library's for every library that is loaded: so these see what the Swift runtime asks
// for. They count and pass on to the library's own by the names that glibc exports for this.

#include "AllocationCounter.h"

#include <errno.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_ANOTHER_ALLOCATOR 1
#endif
#endif

#ifdef HAS_ANOTHER_ALLOCATOR

bool allocations_are_counted(void) { return false; }
uint64_t allocations_so_far(void) { return 0; }
void record_thrown_errors(bool on) { (void)on; }

#else

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static _Thread_local uint64_t count;

bool allocations_are_counted(void) { return true; }
uint64_t allocations_so_far(void) { return count; }

// The Swift runtime calls these two where an error is thrown, if they are set. The testing library sets them, and allocates there.
extern void *_swift_willThrow;
extern void *_swift_willThrowTypedImpl;
static void *hook, *typed_hook;

void record_thrown_errors(bool on) {
    if (on) {
        __atomic_store_n(&_swift_willThrow, hook, __ATOMIC_RELEASE);
        __atomic_store_n(&_swift_willThrowTypedImpl, typed_hook, __ATOMIC_RELEASE);
    } else {
        hook = __atomic_exchange_n(&_swift_willThrow, NULL, __ATOMIC_ACQ_REL);
        typed_hook = __atomic_exchange_n(&_swift_willThrowTypedImpl, NULL, __ATOMIC_ACQ_REL);
    }
}

void *malloc(size_t size) {
    count++;
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count++;
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    count++;
    return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    count++;
    void *found = __libc_memalign(alignment, size);
    if (!found) return ENOMEM;
    *memory = found;
    return 0;
}

#endif
