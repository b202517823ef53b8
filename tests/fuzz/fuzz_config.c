/*
 * fuzz_config.c - configurations with drop-ins: no crash, every refusal has its sentences, and what
 * was taken means the same when its effective values are written down and read again. A byte 0x1e
 * (record separator) ends the main file and each drop-in.
 */
#include "fuzz.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "system/config.h"

enum { FILES = 3, SEPARATOR = 0x1e };

/* The main file and its drop-ins: links to files without names. */
static int files[FILES];
static char main_path[4096];

/* TMPDIR is the caller's to remove. */
static void set_up(void)
{
	const char *directory = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
	char path[4200], target[64];

	snprintf(main_path, sizeof(main_path), "%s/fuzz-%d.ini", directory, (int)getpid());
	snprintf(path, sizeof(path), "%s.d", main_path);
	FUZZ_RULE(mkdir(path, 0700) == 0);
	for (int i = 0; i < FILES; i++) {
		files[i] = fuzz_file(target);
		if (i > 0)
			snprintf(path, sizeof(path), "%s.d/%d.ini", main_path, i);
		FUZZ_RULE(symlink(target, i > 0 ? path : main_path) == 0);
	}
}

static void write_files(const uint8_t *data, size_t len)
{
	for (int i = 0; i < FILES; i++) {
		const uint8_t *end = len > 0 ? memchr(data, SEPARATOR, len) : NULL;
		size_t n = end != NULL && i < FILES - 1 ? (size_t)(end - data) : len;

		fuzz_fill(files[i], data, n);
		n += end != NULL && i < FILES - 1;
		data += n;
		len -= n;
	}
}

static void check_problems(const struct config_problems *problems)
{
	const struct config_problem *problem;
	size_t errors = 0;

	for (size_t i = 0; i < problems->n; i++) {
		problem = &problems->list[i];
		errors += !problem->warning;
		FUZZ_RULE(strlen(problem->text) > 5);
		FUZZ_RULE(fuzz_is_printable(problem->text, strlen(problem->text)));
		if (i > 0 && strcmp(problem->file, problems->list[i - 1].file) == 0)
			FUZZ_RULE(problem->line >= problems->list[i - 1].line);
	}
	FUZZ_RULE(problems->n <= CONFIG_PROBLEMS_MAX && errors <= problems->errors);
	FUZZ_RULE(problems->dropped > 0 || errors == problems->errors);
}

static struct config *read_files(struct buf *said)
{
	struct config_problems problems = {.list = NULL};
	struct config *config = NULL;
	int r = config_read(main_path, &config, &problems);

	FUZZ_RULE((r == 0) == (config != NULL));
	FUZZ_RULE((r == 0) == (problems.errors == 0));
	check_problems(&problems);
	config_problems_print(&problems, said);
	config_problems_free(&problems);
	return config;
}

static void write_items(struct buf *out, const char *kind, const char *name,
			const struct config_item *items, size_t n)
{
	buf_printf(out, "[%s%s]\n", kind, name);
	for (size_t i = 0; i < n; i++) {
		FUZZ_RULE(items[i].value != NULL);
		if (*items[i].value != '\0')
			buf_printf(out, "%s = %s\n", items[i].key, items[i].value);
	}
}

/* All effective values, as a file. Of an inherited socket only what may stand there. */
static void write_config(const struct config *config, struct buf *out)
{
	const struct config_item *items;
	size_t n, i;

	items = config_supervisor_items(config, &n);
	write_items(out, "supervisor", "", items, n);
	for (i = 0; i < config->n_sockets; i++) {
		items = config_socket_items(config, config->sockets[i].name, &n);
		write_items(out, "socket:", config->sockets[i].name, items,
			    config->sockets[i].kind == SOCKET_SYSTEMD ? 2 : n);
	}
	for (i = 0; i < config->n_pools; i++) {
		items = config_pool_items(config, config->pools[i].name, &n);
		write_items(out, "pool:", config->pools[i].name, items, n);
	}
}

static void expand_all(const struct config *config)
{
	const struct config_who who = {"instance", "pool", 9999, UINT32_MAX};

	for (size_t i = 0; i < config->n_pools; i++) {
		const struct pool_spec *pool = &config->pools[i];

		FUZZ_RULE(config_find_pool(config, pool->name) == pool);
		FUZZ_RULE(pool->argc > 0 && pool->argv[pool->argc] == NULL);
		FUZZ_RULE(config_surge(pool, pool->workers) <= pool->workers);
		FUZZ_RULE(config_unavailable(pool, pool->workers) <= pool->workers);
		FUZZ_RULE(config_surge(pool, pool->workers) +
			      config_unavailable(pool, pool->workers) >=
			  1);
		for (size_t k = 0; k < pool->argc; k++) {
			cleanup_free char *text = config_expand(pool->argv[k], &who);

			FUZZ_RULE(text != NULL);
		}
	}
}

static void check_comes_back(const struct config *config)
{
	cleanup_buf struct buf first = {.max = 1 << 24}, second = {.max = 1 << 24};
	cleanup_buf struct buf said = {.max = 1 << 22};
	struct config *again;

	write_config(config, &first);
	write_files((const uint8_t *)first.data, first.len);
	again = read_files(&said);
	if (again == NULL)
		fprintf(stderr, "%s\n%s", first.data, buf_text(&said));
	FUZZ_RULE(again != NULL);
	write_config(again, &second);
	if (strcmp(first.data, second.data) != 0)
		fprintf(stderr, "%s\nand now\n%s", first.data, second.data);
	FUZZ_RULE(strcmp(first.data, second.data) == 0);
	config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup_buf struct buf said = {.max = 1 << 22};
	struct config *config;

	if (main_path[0] == '\0')
		set_up();
	write_files(data, len);
	config = read_files(&said);
	if (config != NULL) {
		expand_all(config);
		check_comes_back(config);
	}
	config_free(config);
	return 0;
}
