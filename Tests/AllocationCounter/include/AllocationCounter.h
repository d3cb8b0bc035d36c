#pragma once

#include <stdbool.h>
#include <stdint.h>

/// Whether allocations are counted in this build: not under a sanitizer, which has an allocator of its own.
bool allocations_are_counted(void);

/// How often this thread has asked for memory so far: malloc and all its kin, by whatever library.
uint64_t allocations_so_far(void);

/// Takes the testing library's ear off thrown errors (false), of which it keeps a trace that costs memory, and puts it back (true). One
/// test at a time.
void record_thrown_errors(bool on);
