/* What is asked of the service, and whether its answer is right. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;
struct evbuffer;

enum question_kind { QUESTION_ADD, QUESTION_WORK, QUESTION_HANG, QUESTION_CALL };

struct question {
	enum question_kind kind;
	uint64_t id;
	uint64_t ms;	 /* QUESTION_WORK: how long the worker is to take */
	char method[32]; /* QUESTION_CALL */
	json_t *params;	 /* QUESTION_CALL: owned, may be NULL */
};

struct answer {
	pid_t pid; /* 0: it does not say */
	unsigned generation;
	json_t *result; /* owned by the caller; NULL where there is none */
};

const char *question_method(const struct question *question);

/* Appends the whole HTTP request to `out`. Returns 0 or -ENOMEM. */
int question_write(const struct question *question, const char *host, bool expect_pid,
		   struct evbuffer *out);

/*
 * Checks the response that has come in on `conn`. Returns NULL, or what is wrong with it (a string
 * in `why`). `ret` is set in both cases, as far as the answer can be understood.
 */
const char *answer_check(const struct question *question, const struct conn *conn,
			 struct answer *ret, char *why, size_t why_size);
