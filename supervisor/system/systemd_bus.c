/* systemd_bus.c - our unit's properties and its job, over D-Bus, by sd-bus(3). */
#include "system/systemd_bus.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "base/fd.h"
#include "system/systemd.h"

#define SYSTEMD_NAME	"org.freedesktop.systemd1"
#define SYSTEMD_UNIT	SYSTEMD_NAME ".Unit"
#define SYSTEMD_SERVICE SYSTEMD_NAME ".Service"
#define SYSTEMD_JOB	SYSTEMD_NAME ".Job"
#define ROOTS_ADDRESS	"unix:path=/run/systemd/private"
#define SYSTEM_ADDRESS	"unix:path=/run/dbus/system_bus_socket"

/* One property, and where its value goes. */
struct question {
	struct systemd_bus *bus;
	const char *interface, *property;
	const char *type; /* of D-Bus: "s", "u", "t" */
	void *to;
	size_t size;
};

enum { QUESTIONS = 6 };

struct systemd_bus {
	sd_bus *bus;
	struct systemd_unit unit;
	struct question questions[QUESTIONS];
	unsigned open; /* without an answer */
	int error;     /* the first one */
};

int systemd_unit_of(pid_t pid, char ret_name[static SYSTEMD_UNIT_NAME_MAX])
{
	cleanup_free char *unit = NULL;

	if (sd_pid_get_unit(pid, &unit) < 0 || strlen(unit) >= SYSTEMD_UNIT_NAME_MAX)
		return -ENODATA;
	strcpy(ret_name, unit);
	return 0;
}

int systemd_own_unit(char ret_name[static SYSTEMD_UNIT_NAME_MAX])
{
	return systemd_unit_of(0, ret_name);
}

/* ---- answers ---- */

static int take_text(sd_bus_message *answer, char *text, size_t size)
{
	const char *value;
	int r = sd_bus_message_read(answer, "v", "s", &value);

	if (r >= 0 && strlen(value) >= size)
		r = -EMSGSIZE;
	if (r >= 0)
		strcpy(text, value);
	return r;
}

static int answer_error(sd_bus_message *answer)
{
	return sd_bus_message_is_method_error(answer, NULL) ? -sd_bus_message_get_errno(answer) : 0;
}

/* Handlers tell sd-bus that all is well: what is not is ours to report. */
static int answered(struct systemd_bus *bus, int r)
{
	bus->open--;
	if (r < 0 && bus->error == 0)
		bus->error = r;
	return 0;
}

static int on_property(sd_bus_message *answer, void *arg, sd_bus_error *error)
{
	const struct question *question = arg;
	int r = answer_error(answer);

	(void)error;
	if (r == 0 && question->type[0] == 's')
		r = take_text(answer, question->to, question->size);
	else if (r == 0)
		r = sd_bus_message_read(answer, "v", question->type, question->to);
	return answered(question->bus, r);
}

static int on_job_type(sd_bus_message *answer, void *arg, sd_bus_error *error)
{
	struct systemd_bus *bus = arg;

	(void)error;
	/* a job that is over is no error: there is none, then */
	if (answer_error(answer) < 0)
		return answered(bus, 0);
	return answered(bus, take_text(answer, bus->unit.job, sizeof(bus->unit.job)));
}

/* ---- questions ---- */

static int ask(struct systemd_bus *bus, const char *path, const char *interface,
	       const char *property, sd_bus_message_handler_t handler, void *arg)
{
	int r = sd_bus_call_method_async(bus->bus, NULL, SYSTEMD_NAME, path,
					 "org.freedesktop.DBus.Properties", "Get", handler, arg,
					 "ss", interface, property);

	if (r >= 0)
		bus->open++;
	return r < 0 ? r : 0;
}

static int on_job(sd_bus_message *answer, void *arg, sd_bus_error *error)
{
	struct systemd_bus *bus = arg;
	const char *path = NULL;
	uint32_t id = 0;
	int r = answer_error(answer);

	(void)error;
	if (r >= 0)
		r = sd_bus_message_read(answer, "v", "(uo)", &id, &path);
	if (r >= 0 && id > 0)
		r = ask(bus, path, SYSTEMD_JOB, "JobType", on_job_type, bus);
	return answered(bus, r);
}

static int ask_all(struct systemd_bus *bus)
{
	struct systemd_unit *unit = &bus->unit;
	const struct question questions[QUESTIONS] = {
	    {bus, SYSTEMD_UNIT, "LoadState", "s", unit->load, sizeof(unit->load)},
	    {bus, SYSTEMD_SERVICE, "Restart", "s", unit->restart, sizeof(unit->restart)},
	    {bus, SYSTEMD_SERVICE, "NotifyAccess", "s", unit->notify_access,
	     sizeof(unit->notify_access)},
	    {bus, SYSTEMD_SERVICE, "FileDescriptorStoreMax", "u", &unit->store_max, 0},
	    {bus, SYSTEMD_SERVICE, "TimeoutStartUSec", "t", &unit->timeout_start, 0},
	    {bus, SYSTEMD_SERVICE, "TimeoutStopUSec", "t", &unit->timeout_stop, 0},
	};
	cleanup_free char *path = NULL;
	int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit->name, &path);

	memcpy(bus->questions, questions, sizeof(questions));
	if (r >= 0)
		r = ask(bus, path, SYSTEMD_UNIT, "Job", on_job, bus);
	for (size_t n = 0; r >= 0 && n < QUESTIONS; n++)
		r = ask(bus, path, questions[n].interface, questions[n].property, on_property,
			&bus->questions[n]);
	return r < 0 ? r : 0;
}

/* ---- the connection ---- */

static int set_name(struct systemd_bus *bus, const char *name)
{
	if (name == NULL)
		return systemd_own_unit(bus->unit.name);
	if (strlen(name) >= sizeof(bus->unit.name))
		return -ENAMETOOLONG;
	strcpy(bus->unit.name, name);
	return 0;
}

/* systemd's own socket is root's and needs no daemon; all others go by the system bus. */
static int connect_to(sd_bus *bus)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	bool direct = geteuid() == 0;
	int r = sd_bus_set_address(bus, direct		  ? ROOTS_ADDRESS
					: address != NULL ? address
							  : SYSTEM_ADDRESS);

	if (r >= 0 && !direct)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	return r < 0 ? r : 0;
}

int systemd_bus_ask(const char *name, struct systemd_bus **ret_bus)
{
	struct systemd_bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (bus == NULL)
		return -ENOMEM;
	r = set_name(bus, name);
	if (r == 0)
		r = sd_bus_new(&bus->bus);
	if (r >= 0)
		r = connect_to(bus->bus);
	if (r == 0)
		r = ask_all(bus);
	if (r < 0) {
		systemd_bus_free(bus);
		return r;
	}
	*ret_bus = bus;
	return 0;
}

int systemd_bus_fd(const struct systemd_bus *bus)
{
	return sd_bus_get_fd(bus->bus);
}

short systemd_bus_events(const struct systemd_bus *bus)
{
	int events = sd_bus_get_events(bus->bus);

	return events < 0 ? POLLIN : (short)events;
}

int systemd_bus_process(struct systemd_bus *bus, struct systemd_unit *ret_unit)
{
	int r;

	do
		r = sd_bus_process(bus->bus, NULL);
	while (r > 0 && bus->open > 0);
	if (r < 0)
		return r;
	if (bus->error < 0)
		return bus->error;
	if (bus->open > 0)
		return 0;
	*ret_unit = bus->unit;
	return 1;
}

int systemd_bus_wait(const char *name, usec_t limit, struct systemd_unit *ret_unit)
{
	struct systemd_bus *bus;
	usec_t until = usec_add(clock_now(), limit);
	int r = systemd_bus_ask(name, &bus);

	if (r < 0)
		return r;
	while ((r = systemd_bus_process(bus, ret_unit)) == 0) {
		struct pollfd pfd = {.fd = systemd_bus_fd(bus), .events = systemd_bus_events(bus)};
		usec_t left = usec_sub(until, clock_now());

		if (left == 0) {
			r = -ETIMEDOUT;
			break;
		}
		poll(&pfd, 1, (int)(left / USEC_PER_MSEC) + 1);
	}
	systemd_bus_free(bus);
	return r < 0 ? r : 0;
}

void systemd_bus_free(struct systemd_bus *bus)
{
	if (bus == NULL)
		return;
	if (bus->bus != NULL)
		sd_bus_close_unref(bus->bus);
	free(bus);
}
