/* main.c - handoverd: options, check, run. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "engine/engine.h"
#include "system/check_run.h"
#include "system/keys.h"

static const char help[] =
    "Usage: handoverd [OPTIONS] FILE\n"
    "\n"
    "Runs the workers that FILE (INI) describes, in the foreground, and hands them their\n"
    "listening sockets. SIGHUP (or `handover reload`) starts new workers, waits until they\n"
    "serve, and lets the old ones finish; SIGTERM or Ctrl-C stops; Ctrl-C twice stops at once.\n"
    "\n"
    "  -t, --check           only check FILE and what it names; exit code 78 if it is wrong\n"
    "      --syntax          with --check: look at the file alone, not at users, commands, "
    "addresses\n"
    "      --runtime-dir DIR where control.sock is (default: $RUNTIME_DIRECTORY, "
    "/run/handover/NAME,\n"
    "                        without root $XDG_RUNTIME_DIR/handover/NAME)\n"
    "      --list-keys       all configuration keys with types and defaults\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "\n"
    "The command `handover` talks to what runs: handover status, handover reload, handover "
    "--help.\n"
    "See handoverd(8), handover.ini(5).\n";

enum { OPTION_SYNTAX = 256, OPTION_RUNTIME_DIR, OPTION_LIST_KEYS };

static const struct option options[] = {
    {"check", no_argument, NULL, 't'},
    {"syntax", no_argument, NULL, OPTION_SYNTAX},
    {"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
    {"list-keys", no_argument, NULL, OPTION_LIST_KEYS},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int list_keys(void)
{
	static const char *const sections[] = {"supervisor", "socket:NAME", "pool:NAME"};
	size_t n;
	const struct key_info *keys = keys_all(&n);

	for (size_t i = 0; i < n; i++)
		printf("%-12s %-22s %-28s %s\n", sections[keys[i].section], keys[i].name,
		       keys[i].type,
		       keys[i].default_value == NULL   ? "(required)"
		       : keys[i].default_words != NULL ? keys[i].default_words
						       : keys[i].default_value);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct engine_options run = {0};
	bool check = false, syntax = false;
	int option;

	while ((option = getopt_long(argc, argv, "tVh", options, NULL)) != -1) {
		switch (option) {
		case 't':
			check = true;
			break;
		case OPTION_SYNTAX:
			check = syntax = true;
			break;
		case OPTION_RUNTIME_DIR:
			run.runtime_dir = optarg;
			break;
		case OPTION_LIST_KEYS:
			return list_keys();
		case 'V':
			puts("handoverd " HANDOVER_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("Try `handoverd --help`.\n", stderr);
			return 2;
		}
	}
	if (optind != argc - 1) {
		fputs("handoverd: one configuration file is needed: handoverd FILE. Try `handoverd "
		      "--help`.\n",
		      stderr);
		return 2;
	}
	run.config_path = argv[optind];
	return check ? check_run(run.config_path, syntax, stdout, stderr) : engine_run(&run);
}
