/*
 * What the target truly holds, per allocating call.
 *
 * Every allocation of the target goes through svc_malloc() and its kin. They are macros, so the
 * call that reaches the allocator stands in the function that asked for memory. It goes to a thunk
 * (ledger_calls.c) which stores the return address it was called with and jumps to the allocator:
 * the word on the stack that malloc() finds at its entry is the very word stored, so the
 * ledger's return address is exact by construction, whatever the compiler made of the caller.
 *
 * A block is booked to the call that allocated it, with the size requested. A realloc is a free of
 * the old block at its old site and an allocation at the realloc's. Books are kept apart for blocks
 * born before and after ledger_mark_ready(), for observers that attach at that moment.
 *
 * The ledger itself lives in static and mmap'ed memory and never calls the allocator.
 */
#ifndef TARGETS_LEDGER_H
#define TARGETS_LEDGER_H

#include <stddef.h>
#include <stdint.h>

/* Functions whose names and call sites must stay as written: no inlining, no clones, no merging. */
#if defined(__has_attribute)
#if __has_attribute(noipa)
#define SITE __attribute__((noipa))
#endif
#endif
#ifndef SITE
#define SITE __attribute__((noinline))
#endif

enum ledger_kind {
	LEDGER_MALLOC,
	LEDGER_CALLOC,
	LEDGER_REALLOC,
	LEDGER_POSIX_MEMALIGN,
	LEDGER_ALIGNED_ALLOC,
	LEDGER_MEMALIGN,
	LEDGER_VALLOC,
	LEDGER_PVALLOC,
	LEDGER_REALLOCARRAY,
	LEDGER_KINDS,
};

/* What is known of a block that was taken out of the books for a realloc. */
struct ledger_block {
	size_t bytes;
	uint32_t site;
	uint32_t born;
};

struct ledger_totals {
	uint64_t allocated_bytes;
	uint64_t allocated_blocks;
	uint64_t freed_bytes;
	uint64_t freed_blocks;
};

/* The thunks: the allocator's call, and where to store the return address. */
void *ledger_call_malloc(size_t size, void **ret_address);
void *ledger_call_calloc(size_t count, size_t size, void **ret_address);
void *ledger_call_realloc(void *old, size_t size, void **ret_address);
int ledger_call_posix_memalign(void **ret, size_t alignment, size_t size, void **ret_address);
void *ledger_call_aligned_alloc(size_t alignment, size_t size, void **ret_address);
void *ledger_call_memalign(size_t alignment, size_t size, void **ret_address);
void *ledger_call_valloc(size_t size, void **ret_address);
void *ledger_call_pvalloc(size_t size, void **ret_address);
void *ledger_call_reallocarray(void *old, size_t count, size_t size, void **ret_address);

/* Books a new block; ends the process with one line where the allocator returned NULL. */
void ledger_allocated(void *block, size_t bytes, enum ledger_kind kind, void *address,
		      const char *function);
/* Takes a block out of the table, to be followed by ledger_freed(). NULL is fine. */
struct ledger_block ledger_take(void *block);
void ledger_freed(const struct ledger_block *taken);
void svc_free(void *block);

/* From here on blocks belong to the second book. */
void ledger_mark_ready(void);
/* Totals of all sites; of one function's sites where @function is not NULL. */
void ledger_sum(const char *function, struct ledger_totals *ret);
/*
 * Writes the ledger as one JSON object, atomically (PATH.tmp, then rename). @members is a list of
 * further members of that object, each followed by ",\n". 0 or -errno.
 */
int ledger_write(const char *path, const char *members);

/*
 * Macros, not inline functions: debug information must name the function that asked for memory,
 * and its line, for the allocating call.
 */
#define svc_malloc(size)                                                            \
	({                                                                          \
		size_t size_ = (size);                                              \
		void *address_;                                                     \
		void *block_ = ledger_call_malloc(size_, &address_);                \
                                                                                    \
		ledger_allocated(block_, size_, LEDGER_MALLOC, address_, __func__); \
		block_;                                                             \
	})

#define svc_calloc(count, size)                                                             \
	({                                                                                  \
		size_t count_ = (count), size_ = (size);                                    \
		void *address_;                                                             \
		void *block_ = ledger_call_calloc(count_, size_, &address_);                \
                                                                                            \
		ledger_allocated(block_, count_ *size_, LEDGER_CALLOC, address_, __func__); \
		block_;                                                                     \
	})

/* Out of the table before the allocator can hand the old address to another thread. */
#define svc_realloc(old, size)                                                       \
	({                                                                           \
		void *old_ = (old);                                                  \
		size_t size_ = (size);                                               \
		struct ledger_block taken_ = ledger_take(old_);                      \
		void *address_;                                                      \
		void *block_ = ledger_call_realloc(old_, size_, &address_);          \
                                                                                     \
		ledger_allocated(block_, size_, LEDGER_REALLOC, address_, __func__); \
		ledger_freed(&taken_);                                               \
		block_;                                                              \
	})

#define svc_posix_memalign(alignment, size)                                                 \
	({                                                                                  \
		size_t size_ = (size);                                                      \
		void *address_, *block_ = NULL;                                             \
                                                                                            \
		if (ledger_call_posix_memalign(&block_, (alignment), size_, &address_))     \
			block_ = NULL;                                                      \
		ledger_allocated(block_, size_, LEDGER_POSIX_MEMALIGN, address_, __func__); \
		block_;                                                                     \
	})

#define svc_aligned_alloc(alignment, size)                                                 \
	({                                                                                 \
		size_t size_ = (size);                                                     \
		void *address_;                                                            \
		void *block_ = ledger_call_aligned_alloc((alignment), size_, &address_);   \
                                                                                           \
		ledger_allocated(block_, size_, LEDGER_ALIGNED_ALLOC, address_, __func__); \
		block_;                                                                    \
	})

#endif
