/* config_address.c - where a socket listens: tcp://, udp://, unix:, systemd:, handover:, and
 * HOST:PORT. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/parse.h"
#include "system/config_internal.h"

/* A numeric IPv6 address, with or without a zone ("fe80::1%eth0"). */
static bool is_ipv6(const char *host)
{
	size_t len = strcspn(host, "%");
	char address[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (len >= sizeof(address) || strcmp(host + len, "%") == 0)
		return false;
	memcpy(address, host, len);
	address[len] = '\0';
	return inet_pton(AF_INET6, address, &in6) == 1;
}

/* A numeric IPv4 address, or a name. What is made of digits and dots is no name. */
static bool is_host(const char *host)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	struct in_addr in;

	if (host[strspn(host, "0123456789.")] == '\0')
		return inet_pton(AF_INET, host, &in) == 1;
	return host[strspn(host, allowed)] == '\0' && *host != '-' && *host != '.' &&
	       strlen(host) < 254;
}

static int parse_port(const char *text, uint16_t *ret_port, struct buf *why)
{
	uint64_t port;

	if (parse_uint(text, 0, 65535, &port) < 0) {
		buf_printf(why, "%s is not a port between 1 and 65535", QUOTE(text));
		return -EINVAL;
	}
	if (port == 0) {
		buf_add_str(why, "port 0 is refused: it would be a different one after each start");
		return -EINVAL;
	}
	*ret_port = (uint16_t)port;
	return 0;
}

/* Finds the ':' before the port, and the host before it, without its brackets. */
static int split_host(const char *text, char **ret_host, const char **ret_port, struct buf *why)
{
	const char *colon = strrchr(text, ':'), *end;

	if (*text == '[') {
		end = strchr(text, ']');
		if (end == NULL || end[1] != ':') {
			buf_printf(why, "%s is not [ADDRESS]:PORT", QUOTE(text));
			return -EINVAL;
		}
		*ret_port = end + 2;
		*ret_host = strndup(text + 1, (size_t)(end - text - 1));
	} else {
		if (colon == NULL) {
			buf_printf(why, "%s has no port; write HOST:PORT", QUOTE(text));
			return -EINVAL;
		}
		if (strchr(text, ':') != colon) {
			buf_printf(why, "%s: an IPv6 address stands in brackets: [::1]:PORT",
				   QUOTE(text));
			return -EINVAL;
		}
		*ret_port = colon + 1;
		*ret_host = strndup(text, (size_t)(colon - text));
	}
	return *ret_host == NULL ? -ENOMEM : 0;
}

int config_parse_address(const char *text, char **ret_host, uint16_t *ret_port, struct buf *why)
{
	cleanup_free char *host = NULL;
	const char *port;
	int r;

	r = split_host(text, &host, &port, why);
	if (r < 0)
		return r;
	if (*text == '[' && !is_ipv6(host)) {
		buf_printf(why, "%s is not an IPv6 address", QUOTE(host));
		return -EINVAL;
	}
	if (*text != '[' && *host != '\0' && strcmp(host, "*") != 0 && !is_host(host)) {
		buf_printf(why, "%s is neither an address nor a host's name", QUOTE(host));
		return -EINVAL;
	}
	r = parse_port(port, ret_port, why);
	if (r == 0)
		*ret_host = TAKE_PTR(host);
	return r;
}

void config_show_address(const char *host, uint16_t port, struct buf *out)
{
	bool ipv6 = strchr(host, ':') != NULL;

	buf_printf(out, "%s%s%s:%u", ipv6 ? "[" : "", *host == '\0' ? "*" : host, ipv6 ? "]" : "",
		   port);
}

static int read_status(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct supervisor_spec *supervisor = object;
	cleanup_free char *host = NULL, *copy = NULL;
	uint16_t port;
	int r;

	(void)key;
	r = config_parse_address(text, &host, &port, why);
	if (r < 0)
		return r;
	copy = strdup(text);
	if (copy == NULL)
		return -ENOMEM;
	supervisor->status_host = TAKE_PTR(host);
	supervisor->status_port = port;
	supervisor->status_listen = TAKE_PTR(copy);
	return 0;
}

static void show_status(const struct key *key, const void *object, struct buf *out)
{
	const struct supervisor_spec *supervisor = object;

	(void)key;
	if (supervisor->status_listen != NULL)
		config_show_address(supervisor->status_host, supervisor->status_port, out);
}

const struct key_type type_address = {.read = read_status, .show = show_status};

static int read_unix(const char *path, struct socket_spec *spec, struct buf *why)
{
	struct sockaddr_un address;

	if (*path == '@') {
		buf_add_str(why, "abstract addresses are not supported: anybody on the host could "
				 "take or reach them");
		return -EINVAL;
	}
	if (*path != '/') {
		buf_printf(why, "%s is not a path that begins with '/'", QUOTE(path));
		return -EINVAL;
	}
	while (path[1] == '/')
		path++;
	if (strlen(path) >= sizeof(address.sun_path)) {
		buf_printf(why, "the path has %zu bytes; the kernel takes %zu", strlen(path),
			   sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	if (path[strlen(path) - 1] == '/') {
		buf_printf(why, "%s is a directory's name", QUOTE(path));
		return -EINVAL;
	}
	spec->kind = SOCKET_UNIX;
	spec->path = strdup(path);
	return spec->path == NULL ? -ENOMEM : 0;
}

/* The name of a descriptor, as FileDescriptorName= of systemd.socket(5) takes it. */
static int read_systemd(const char *name, struct socket_spec *spec, struct buf *why)
{
	size_t i, len = strlen(name);

	for (i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':' || name[i] == '%')
			break;
	if (len == 0 || len > 255 || i < len) {
		buf_printf(why, "%s is not the name of a socket from systemd (FileDescriptorName=)",
			   QUOTE(name));
		return -EINVAL;
	}
	spec->kind = SOCKET_SYSTEMD;
	spec->path = strdup(name);
	return spec->path == NULL ? -ENOMEM : 0;
}

static bool is_name(const char *text, size_t len)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return len > 0 && len <= CONFIG_NAME_MAX && *text != '.' && *text != '-' && *text != '_' &&
	       strspn(text, allowed) >= len;
}

/* INSTANCE/NAME: another instance, by its name or its runtime directory, and a socket of it. */
static int read_handover(const char *text, struct socket_spec *spec, struct buf *why)
{
	const char *slash = strrchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : 0;

	if (slash == NULL || !is_name(slash + 1, strlen(slash + 1)) ||
	    !(*text == '/' ? len > 1 : is_name(text, len))) {
		buf_printf(why,
			   "%s is not INSTANCE/NAME: another instance (its name, or its runtime "
			   "directory) and the name of one of its sockets",
			   QUOTE(text));
		return -EINVAL;
	}
	if (strchr(text, '%') != NULL || len > 80) {
		buf_printf(why, "%s: %s", QUOTE(text),
			   len > 80 ? "the directory's name is too long for a socket in it"
				    : "'%' is not supported here by this version");
		return -EINVAL;
	}
	spec->kind = SOCKET_HANDOVER;
	spec->path = strdup(text);
	return spec->path == NULL ? -ENOMEM : 0;
}

static int read_host(const char *address, enum socket_kind kind, struct socket_spec *spec,
		     struct buf *why)
{
	/* A zone follows an address in brackets; a port may have a specifier, and had it replaced.
	 */
	if (*address != '[' && strchr(address, '%') != NULL) {
		buf_printf(why, "%s: a host has no '%%'; %%n may be in the port", QUOTE(address));
		return -EINVAL;
	}
	spec->kind = kind;
	return config_parse_address(address, &spec->host, &spec->port, why);
}

/* What a value without a known scheme was probably to be. */
static int explain_scheme(const char *text, struct buf *why)
{
	cleanup_buf struct buf ignored = {.data = NULL};
	cleanup_free char *host = NULL;
	uint16_t port;

	buf_printf(why, "%s begins with none of tcp://, udp://, unix:, systemd: and handover:",
		   QUOTE(text));
	if (config_parse_address(text, &host, &port, &ignored) == 0)
		buf_printf(why, "; did you mean 'tcp://%s'?", text);
	else if (*text == '/')
		buf_printf(why, "; did you mean 'unix:%s'?", text);
	return -EINVAL;
}

int config_parse_listen(const char *text, struct socket_spec *spec, struct buf *why)
{
	if (strncmp(text, "tcp://", 6) == 0)
		return read_host(text + 6, SOCKET_TCP, spec, why);
	if (strncmp(text, "udp://", 6) == 0)
		return read_host(text + 6, SOCKET_UDP, spec, why);
	if (strncmp(text, "unix:", 5) == 0)
		return read_unix(text + 5, spec, why);
	if (strncmp(text, "systemd:", 8) == 0)
		return read_systemd(text + 8, spec, why);
	if (strncmp(text, "handover:", 9) == 0)
		return read_handover(text + 9, spec, why);
	return explain_scheme(text, why);
}

static int read_listen(const struct key *key, const char *text, void *object, struct buf *why)
{
	struct socket_spec *spec = object;
	cleanup_free char *first = NULL;
	int r;

	(void)key;
	spec->listen = strdup(text);
	if (spec->listen == NULL)
		return -ENOMEM;
	r = config_slots_check(text, &spec->per_slot, why);
	if (r < 0)
		return r;
	first = config_slots_expand(text, 0);
	if (first == NULL)
		return -ENOMEM;
	r = config_parse_listen(first, spec, why);
	if (r < 0 && spec->per_slot)
		buf_add_str(why, " (%n is 0 for the first slot)");
	return r;
}

static void show_listen(const struct key *key, const void *object, struct buf *out)
{
	const struct socket_spec *spec = object;
	cleanup_buf struct buf text = {.data = NULL};

	(void)key;
	if (spec->per_slot || (spec->kind == SOCKET_UNIX && strchr(spec->listen, '%') != NULL)) {
		config_show_text(spec->listen, out);
		return;
	}
	switch (spec->kind) {
	case SOCKET_TCP:
	case SOCKET_UDP:
		buf_add_str(&text, spec->kind == SOCKET_TCP ? "tcp://" : "udp://");
		config_show_address(spec->host, spec->port, &text);
		break;
	case SOCKET_UNIX:
		buf_printf(&text, "unix:%s", spec->path);
		break;
	case SOCKET_SYSTEMD:
		buf_printf(&text, "systemd:%s", spec->path);
		break;
	case SOCKET_HANDOVER:
		buf_printf(&text, "handover:%s", spec->path);
		break;
	}
	config_show_text(buf_text(&text), out);
}

const struct key_type type_listen = {.read = read_listen, .show = show_listen};
