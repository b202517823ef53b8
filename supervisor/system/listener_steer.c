/* listener_steer.c - which of the TCP sockets at one address get new connections. */
#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "system/listener.h"

enum { STEER_GAPS_MAX = 128, STEER_PER_RANGE = 3, STEER_FIXED = 2 };

struct program {
	struct sock_filter code[STEER_FIXED + STEER_PER_RANGE * STEER_GAPS_MAX];
	unsigned short n;
};

static void add(struct program *program, struct sock_filter statement)
{
	program->code[program->n++] = statement;
}

/* Numbers below end, which none before has taken, become indices that begin at first. */
static void add_range(struct program *program, uint32_t begin, uint32_t end, uint32_t first)
{
	add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, end, 2, 0));
	add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, first - begin));
	add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0));
}

/*
 * A random number below n, and from it one of the indices, range by range. Random and not a hash:
 * not every network card gives the packet one. A handshake stays where its first packet went; with
 * SYN cookies any of the sockets may finish it.
 */
static int write_program(const uint32_t *indices, size_t n, struct program *program)
{
	size_t begin = 0;

	add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  (uint32_t)SKF_AD_OFF + SKF_AD_RANDOM));
	add(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)n));
	for (size_t i = 1; i <= n; i++) {
		if (i < n && indices[i] == indices[i - 1] + 1)
			continue;
		if (program->n + STEER_PER_RANGE > (int)ARRAY_LEN(program->code))
			return -E2BIG;
		add_range(program, (uint32_t)begin, (uint32_t)i, indices[begin]);
		begin = i;
	}
	/* what none has taken cannot be: all numbers are below n */
	program->code[program->n - STEER_PER_RANGE].jt = 0;
	return 0;
}

int listener_steer(const struct listener *listener, const uint32_t *indices, size_t n)
{
	struct program program = {.n = 0};
	struct sock_fprog text = {.filter = program.code};
	int r = n > 0 ? write_program(indices, n, &program) : -EINVAL;

	if (r < 0)
		return r;
	text.len = program.n;
	return setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &text,
			  sizeof(text)) == -1
		   ? -errno
		   : 0;
}

int listener_steer_to_all(const struct listener *listener)
{
	int unused = 0;

	if (setsockopt(listener->fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused,
		       sizeof(unused)) == -1 &&
	    errno != ENOENT)
		return -errno;
	return 0;
}
