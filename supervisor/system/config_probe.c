/* config_probe.c - questions to a worker: exec:, tcp, http:, grpc, and where they are asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "system/config_internal.h"
#include "system/health.h"
#include "system/probe_address.h"

/* A path goes into a request line as it is. '%' begins no specifier there: it is HTTP's own. */
static int read_path(const char *path, struct probe_spec *probe, struct buf *why)
{
	if (strncmp(path, "//", 2) == 0) {
		buf_add_str(why, "http: takes the path alone; where the server listens stands in "
				 "probe_address");
		return -EINVAL;
	}
	if (*path != '/') {
		buf_add_str(why, "http: is followed by a path, such as http:/healthz");
		return -EINVAL;
	}
	for (const char *c = path; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || c - path >= CONFIG_PROBE_PATH_MAX) {
			buf_printf(why, "http: %s is no path of a URL", QUOTE(path));
			return -EINVAL;
		}
	probe->kind = PROBE_KIND_HTTP;
	probe->text = strdup(path);
	return probe->text == NULL ? -ENOMEM : 0;
}

static int read_service(const char *service, struct probe_spec *probe, struct buf *why)
{
	size_t len = strlen(service);
	bool good = len > 0 && len <= HEALTH_SERVICE_MAX;

	for (size_t i = 0; i < len; i++)
		good = good && service[i] > ' ' && service[i] <= '~';
	if (!good) {
		buf_printf(why,
			   "grpc: %s is no service's name; write grpc:SERVICE, or grpc for the "
			   "server as a whole",
			   QUOTE(service));
		return -EINVAL;
	}
	probe->kind = PROBE_KIND_GRPC;
	probe->text = strdup(service);
	return probe->text == NULL ? -ENOMEM : 0;
}

int config_probe_read(const char *text, struct probe_spec *probe, struct buf *why)
{
	if (strncmp(text, "http:", 5) == 0)
		return read_path(text + 5, probe, why);
	if (strncmp(text, "grpc:", 5) == 0)
		return read_service(text + 5, probe, why);
	if (strcmp(text, "grpc") == 0) {
		probe->kind = PROBE_KIND_GRPC;
		probe->text = strdup("");
		return probe->text == NULL ? -ENOMEM : 0;
	}
	if (strcmp(text, "tcp") == 0) {
		probe->kind = PROBE_KIND_TCP;
		return 0;
	}
	if (strncmp(text, "tcp:", 4) == 0) {
		buf_add_str(why, "tcp stands alone; where the server listens stands in "
				 "probe_address");
		return -EINVAL;
	}
	return -ENOENT;
}

void config_probe_show(const struct probe_spec *probe, struct buf *out)
{
	size_t n = 0;

	switch (probe->kind) {
	case PROBE_KIND_NONE:
		buf_add_str(out, "off");
		break;
	case PROBE_KIND_EXEC:
		while (probe->argv[n] != NULL)
			n++;
		buf_add_str(out, "exec:");
		config_show_words(probe->argv, n, out);
		break;
	case PROBE_KIND_TCP:
		buf_add_str(out, "tcp");
		break;
	case PROBE_KIND_HTTP:
		buf_printf(out, "http:%s", probe->text);
		break;
	case PROBE_KIND_GRPC:
		buf_printf(out, "grpc%s%s", *probe->text != '\0' ? ":" : "", probe->text);
		break;
	}
}

void config_probe_free(struct probe_spec *probe)
{
	free(probe->argv);
	free(probe->text);
}

static bool asks_server(const struct probe_spec *probe)
{
	return probe->kind == PROBE_KIND_TCP || probe->kind == PROBE_KIND_HTTP ||
	       probe->kind == PROBE_KIND_GRPC;
}

bool config_asks_server(const struct pool_spec *pool)
{
	return (pool->ready == READY_PROBE && asks_server(&pool->ready_probe)) ||
	       asks_server(&pool->live);
}

bool config_has_probe_socket(const struct pool_spec *pool)
{
	return config_asks_server(pool) && pool->probe_address == NULL;
}

/* ---- live ---- */

static int explain_live(const char *text, struct buf *why)
{
	static const char *const conditions[] = {"http", "grpc", "tcp", "exec", "off"};
	cleanup_free char *word = strndup(text, strcspn(text, ":"));
	const char *near;

	if (word == NULL)
		return -ENOMEM;
	buf_printf(why, "%s is not one of http:/PATH, grpc[:SERVICE], tcp, exec:COMMAND, off",
		   QUOTE(text));
	near = parse_suggest(word, conditions, ARRAY_LEN(conditions));
	if (strcmp(word, "notify") == 0)
		buf_add_str(why, "; a worker that says by itself that it lives has a watchdog");
	else if (near != NULL)
		buf_printf(why, "; did you mean '%s%s'?", near,
			   strchr("he", near[0]) == NULL ? "" : ":...");
	return -EINVAL;
}

static int read_live(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct probe_spec *live = FIELD(struct probe_spec, key, object);
	cleanup_free char *plain = NULL;
	const char *error = "";
	size_t argc;
	int r;

	if (strncmp(text, "exec:", 5) == 0) {
		live->kind = PROBE_KIND_EXEC;
		return config_read_words(text + 5, &live->argv, &argc, why);
	}
	r = parse_unquote(text, &plain, &error);
	if (r < 0) {
		buf_add_str(why, error);
		return r;
	}
	if (strcmp(plain, "off") == 0)
		return 0;
	r = config_probe_read(plain, live, why);
	return r == -ENOENT ? explain_live(plain, why) : r;
}

static void show_live(const struct key *key, const void *object, struct buf *out)
{
	config_probe_show(FIELD_CONST(struct probe_spec, key, object), out);
}

const struct key_type type_live = {.read = read_live, .show = show_live, .words = true};

/* ---- probe_address ---- */

/* "9100+%n" is a sum here as it is in `listen`: what has been replaced is added. */
static char *add_port(const char *text)
{
	const char *colon = strrchr(text, ':'), *plus = colon != NULL ? strchr(colon, '+') : NULL;
	cleanup_free char *first =
	    plus != NULL ? strndup(colon + 1, (size_t)(plus - colon - 1)) : NULL;
	uint64_t a, b;
	char *sum;

	if (first == NULL || strncmp(text, "unix:", 5) == 0 ||
	    parse_uint(first, 0, 65535, &a) < 0 || parse_uint(plus + 1, 0, UINT32_MAX, &b) < 0)
		return strdup(text);
	return asprintf(&sum, "%.*s:%llu", (int)(colon - text), text,
			(unsigned long long)(a + b)) == -1
		   ? NULL
		   : sum;
}

int config_probe_address(const char *text, const struct config_who *who,
			 struct sockaddr_storage *ret_address, socklen_t *ret_len, struct buf *why)
{
	cleanup_free char *expanded = config_expand(text, who);
	cleanup_free char *address = expanded != NULL ? add_port(expanded) : NULL;

	return address == NULL ? -ENOMEM : probe_address_parse(address, ret_address, ret_len, why);
}

/* As the first worker would have it; what others make of it is looked at when they are counted. */
static int read_probe_address(const struct key *key, const char *text, void *object,
			      struct buf *why)
{
	static const struct config_who first = {.instance = "i", .pool = "p", .generation = 1};
	struct sockaddr_storage address;
	socklen_t len;
	int r = config_check_specifiers(text, why);

	if (r == 0)
		r = config_probe_address(text, &first, &address, &len, why);
	if (r < 0)
		return r;
	*FIELD(char *, key, object) = strdup(text);
	return *FIELD(char *, key, object) == NULL ? -ENOMEM : 0;
}

static void show_probe_address(const struct key *key, const void *object, struct buf *out)
{
	const char *text = *FIELD_CONST(char *const, key, object);

	if (text != NULL)
		config_show_text(text, out);
}

const struct key_type type_probe_address = {.read = read_probe_address, .show = show_probe_address};
