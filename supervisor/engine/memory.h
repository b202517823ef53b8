/* memory.h - memory for libevent, which (its evhttp above all) does not survive a malloc() that
 * fails. */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

/* Before any other call of libevent's: sets some memory aside, which its next allocations get when
 * there is no other. */
void memory_new(void);
/* Sets it aside again, if it was given away and there is memory now. Costs nothing otherwise. */
void memory_restore(void);
void memory_free(void);

#endif
