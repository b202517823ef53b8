/* real.h - taking the place of libc's functions, and calling them all the same. */
#ifndef PRELOAD_REAL_H
#define PRELOAD_REAL_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

/* The function behind ours: libc's, or that of the next one in LD_PRELOAD. */
#define REAL(function)                                                                             \
	({                                                                                         \
		static _Atomic(__typeof__(&function)) found_;                                      \
		__typeof__(&function) real_ = atomic_load_explicit(&found_, memory_order_relaxed); \
		if (real_ == NULL) {                                                               \
			*(void **)&real_ = dlsym(RTLD_NEXT, #function);                            \
			atomic_store_explicit(&found_, real_, memory_order_relaxed);               \
		}                                                                                  \
		real_;                                                                             \
	})

#endif
