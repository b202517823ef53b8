/* unit_config.h - reads configurations from strings for the tests of config.h. */
#ifndef UNIT_CONFIG_H
#define UNIT_CONFIG_H

#include "unit.h"

#include "base/buf.h"
#include "base/fd.h"
#include "system/config.h"

/* The least that a pool needs; two lines more than its header. */
#define POOL	 "[pool:api]\ncommand = /bin/true\nready = notify\n"
#define SOCKET_A "[socket:a]\nlisten = tcp://127.0.0.1:9000\n"

/* One reading: what came out, and what was said, without the directory before file names. */
struct reading {
	char *directory;
	struct config *config;
	struct config_problems problems;
	struct buf said;
	int r;
};

static inline void reading_end(struct reading *reading)
{
	config_free(reading->config);
	config_problems_free(&reading->problems);
	buf_free(&reading->said);
	if (reading->directory != NULL)
		unit_remove(reading->directory);
	*reading = (struct reading){.directory = NULL};
}

static inline void reading_say(struct reading *reading)
{
	struct buf all = {.max = 1 << 22};
	char prefix[256];
	char *p, *hit;

	config_problems_print(&reading->problems, &all);
	snprintf(prefix, sizeof(prefix), "%s/", reading->directory);
	reading->said.max = 1 << 22;
	for (p = all.data; p != NULL && *p != '\0'; p = hit + strlen(prefix)) {
		hit = strstr(p, prefix);
		if (hit == NULL) {
			buf_add_str(&reading->said, p);
			break;
		}
		buf_add(&reading->said, p, (size_t)(hit - p));
	}
	buf_free(&all);
}

/* Reads the file x.ini of reading->directory. */
static inline void reading_run(struct reading *reading)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/x.ini", reading->directory);
	reading->r = config_read(path, &reading->config, &reading->problems);
	reading_say(reading);
}

static inline struct reading read_bytes(const void *data, size_t len)
{
	struct reading reading = {.directory = unit_directory()};

	unit_write(reading.directory, "x.ini", data, len);
	reading_run(&reading);
	return reading;
}

static inline struct reading read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

#define cleanup_reading __attribute__((cleanup(reading_end)))

/* The text is refused (or taken, with warnings), and exactly this is said. */
static inline void assert_said(const char *text, const char *said)
{
	cleanup_reading struct reading reading = read_text(text);
	bool refused = reading.problems.errors > 0;

	if (strcmp(buf_text(&reading.said), said) != 0)
		fail_msg("for\n%s\nwas said\n%sand not\n%s", text, buf_text(&reading.said), said);
	assert_int_equal(reading.r, refused ? -EINVAL : 0);
	assert_true(refused == (reading.config == NULL));
}

static inline void assert_taken(const char *text)
{
	assert_said(text, "");
}

/* An effective value, "(none)" for a key that is not there. */
static inline const char *item_value(const struct config_item *items, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(items[i].key, key) == 0)
			return items[i].value;
	return "(none)";
}

static inline const char *pool_value(const struct reading *reading, const char *pool,
				     const char *key)
{
	size_t n;
	const struct config_item *items = config_pool_items(reading->config, pool, &n);

	return item_value(items, n, key);
}

static inline const char *socket_value(const struct reading *reading, const char *name,
				       const char *key)
{
	size_t n;
	const struct config_item *items = config_socket_items(reading->config, name, &n);

	return item_value(items, n, key);
}

static inline const char *supervisor_value(const struct reading *reading, const char *key)
{
	size_t n;
	const struct config_item *items = config_supervisor_items(reading->config, &n);

	return item_value(items, n, key);
}

#endif
