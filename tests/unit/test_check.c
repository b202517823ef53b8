/* test_check.c - a configuration against the world: each thing that can be missing, in use or not
 * allowed, in its sentence. */
#include "unit_config.h"

#include <arpa/inet.h>
#include <elf.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "system/check.h"
#include "system/check_internal.h"

enum { NOBODY = 65534 };

/* Replaces every '@' by the directory. */
static void write_config(const char *directory, const char *text)
{
	cleanup_buf struct buf out = {.data = NULL};

	for (; *text != '\0'; text++) {
		if (*text == '@')
			buf_add_str(&out, directory);
		else
			buf_add(&out, text, 1);
	}
	unit_write(directory, "x.ini", out.data, out.len);
}

/* Checks a configuration in a directory that is there already; '@' in the text stands for it. */
static void run_check(struct reading *reading, const char *text,
		      const struct check_context *context, struct buf *summary)
{
	write_config(reading->directory, text);
	reading_run(reading);
	if (reading->r != 0)
		fail_msg("for\n%s\nwas said\n%s", text, buf_text(&reading->said));
	reading->r = check_world(reading->config, context, &reading->problems, summary);
	buf_reset(&reading->said);
	reading_say(reading);
}

static const struct check_context start = {.running = NULL, .bind_test = false};
static const struct check_context try_binding = {.running = NULL, .bind_test = true};

/* The files that the rows below are about. */
static char *make_world(void)
{
	static const char script[] = "#!/bin/sh\nexit 0\n", no_interpreter[] = "#!/nowhere/sh -e\n",
			  dos[] = "#!/bin/sh\r\nexit\r\n";
	static const struct {
		const char *name, *data;
		mode_t mode;
	} files[] = {
	    {"script", script, 0755},
	    {"plain", script, 0644},
	    {"no-interpreter", no_interpreter, 0755},
	    {"dos", dos, 0755},
	    {"empty", "", 0755},
	    {"text", "hello\n", 0755},
	    {"private", script, 0700},
	    {"good.env", "A=1\n", 0644},
	    {"bad.env", "A=1\nB\n", 0644},
	    {"output.log", "", 0644},
	    {"#!", "#!", 0755},
	    {"cut.elf",
	     "\x7f"
	     "ELF",
	     0755},
	};
	char *directory = unit_directory(), path[256];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		unit_write(directory, files[i].name, files[i].data, strlen(files[i].data));
		snprintf(path, sizeof(path), "%s/%s", directory, files[i].name);
		assert_int_equal(chmod(path, files[i].mode), 0);
	}
	assert_int_equal(chmod(directory, 0755), 0);
	return directory;
}

/* The text is checked in that world, and exactly this is said. */
static void assert_checked(const char *text, const struct check_context *context, const char *said)
{
	cleanup_reading struct reading reading = {.directory = make_world()};

	run_check(&reading, text, context, NULL);
	if (strcmp(buf_text(&reading.said), said) != 0)
		fail_msg("for\n%s\nwas said\n%sand not\n%s", text, buf_text(&reading.said), said);
	assert_int_equal(reading.r, reading.problems.errors > 0 ? -EINVAL : 0);
}

#define API(command) "[pool:api]\ncommand = " command "\nready = notify\n"

static void test_nothing_wrong(void **state)
{
	(void)state;
	assert_checked(API("@/script"), &try_binding, "");
	assert_checked(API("sh"), &try_binding, "");
	assert_checked("[pool:api]\nready = exec:@/script x\ncommand = ./script\nworking_directory "
		       "= @\numask = 0\n",
		       &try_binding, "");
	assert_checked(API("@/script") "environment_file = @/good.env -@/none.env\nstdout = "
				       "file:@/output.log\n"
				       "stderr = file:@/new.log\n",
		       &start, "");
}

static void test_commands(void **state)
{
	static const struct {
		const char *command, *why;
	} rows[] = {
	    {"@/apii", "'apii': no such file"},
	    {"@/script/x", "'script/x': a part of the path is no directory"},
	    {"@/.", "'.': it is a directory"},
	    {"@/plain", "'plain': it is not marked as executable (mode 0644)"},
	    {"/dev/null", "'/dev/null': it is no regular file"},
	    {"@/empty", "'empty': it is empty"},
	    {"@/no-interpreter", "'no-interpreter': '/nowhere/sh', the interpreter in its first "
				 "line, cannot be executed: No such file or directory"},
	    {"@/dos", "'dos': its first line ends with a carriage return, so that its interpreter "
		      "is not found; save it with Unix "
		      "line ends"},
	    {"@/cut.elf", "'cut.elf': it is a program that was cut short"},
	};
	char text[256], said[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), API("%s"), rows[i].command);
		snprintf(said, sizeof(said), "x.ini:2: [pool:api] command: cannot execute %s\n",
			 rows[i].why);
		assert_checked(text, &start, said);
		snprintf(text, sizeof(text), "[pool:api]\ncommand = @/script\nready = exec:%s\n",
			 rows[i].command);
		snprintf(said, sizeof(said), "x.ini:3: [pool:api] ready: cannot execute %s\n",
			 rows[i].why);
		assert_checked(text, &start, said);
	}
}

static void test_search_path(void **state)
{
	const char *saved = getenv("PATH");
	cleanup_free char *copy = saved != NULL ? strdup(saved) : NULL;

	(void)state;
	setenv("PATH", "/bin:/nowhere", 1);
	assert_checked(API("no-such-command"), &start,
		       "x.ini:2: [pool:api] command: cannot execute 'no-such-command': no such "
		       "command in PATH (/bin:/nowhere)\n");
	assert_checked(API("sh x"), &start, "");
	if (copy != NULL)
		setenv("PATH", copy, 1);
}

/* What a program outside of the kernel might run is only a warning where there is such a program.
 */
static void test_no_program(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()};

	(void)state;
	run_check(&reading, API("@/text"), &start, NULL);
	assert_non_null(strstr(buf_text(&reading.said),
			       "it is no program; a script needs a first line such as #!/bin/sh"));
}

/* A program of this machine's class: what it is for, and the loader that it names. */
static void write_elf(const char *directory, unsigned machine, const char *loader)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr program;
		char loader[64];
	} elf = {.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			    .e_type = ET_DYN,
			    .e_machine = (Elf64_Half)machine,
			    .e_phoff = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 1},
		 .program = {.p_type = PT_INTERP,
			     .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
			     .p_filesz = strlen(loader) + 1}};
	char path[256];

	snprintf(elf.loader, sizeof(elf.loader), "%s", loader);
	unit_write(directory, "program", &elf, sizeof(elf));
	snprintf(path, sizeof(path), "%s/program", directory);
	assert_int_equal(chmod(path, 0755), 0);
}

static unsigned own_machine(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr header;

	assert_int_equal(read(fd, &header, sizeof(header)), sizeof(header));
	close(fd);
	return header.e_machine;
}

static void test_programs(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()};

	(void)state;
	write_elf(reading.directory, own_machine() == EM_S390 ? EM_X86_64 : EM_S390, "/lib/ld.so");
	run_check(&reading, API("@/program"), &start, NULL);
	assert_non_null(
	    strstr(buf_text(&reading.said), "it is a program for another kind of machine"));
	reading_end(&reading);

	if (sizeof(void *) != 8)
		return;
	reading.directory = make_world();
	write_elf(reading.directory, own_machine(), "/nowhere/ld.so");
	run_check(&reading, API("@/program"), &start, NULL);
	assert_string_equal(reading.said.data,
			    "x.ini:2: [pool:api] command: cannot execute 'program': "
			    "'/nowhere/ld.so', the loader that it asks for, cannot "
			    "be executed: No such file or directory\n");
}

static void test_wrappers(void **state)
{
	(void)state;
	assert_checked(API("sh -c '@/script; true'"), &start,
		       "x.ini:2: warning: [pool:api] command: the shell may be the worker, and not "
		       "what it starts; write 'sh -c \"exec "
		       "...\"'\n");
	assert_checked(API("/bin/sh -c 'ulimit -n 99; exec @/script'"), &start, "");
	assert_checked(API("/bin/sh @/script"), &start, "");
}

static void test_files(void **state)
{
	(void)state;
	assert_checked(
	    API("@/script") "working_directory = @/none\n", &start,
	    "x.ini:4: [pool:api] working_directory: 'none': No such file or directory\n");
	assert_checked(API("@/script") "working_directory = @/text\n", &start,
		       "x.ini:4: [pool:api] working_directory: 'text' is no directory\n");
	assert_checked(API("@/script") "environment_file = @/none.env\n", &start,
		       "x.ini:4: [pool:api] environment_file: none.env: cannot be read: No such "
		       "file or directory\n");
	assert_checked(
	    API("@/script") "environment_file = @/good.env\nenvironment_file = @/bad.env\n", &start,
	    "x.ini:5: [pool:api] environment_file: bad.env:2: 'B' is not NAME=value\n");
	assert_checked(API("@/script") "stdout = file:@/none/x.log\n", &start,
		       "x.ini:4: [pool:api] stdout: 'none/x.log' cannot be made: none/: No such "
		       "file or directory\n");
	assert_checked(API("@/script") "stderr = file:/tmp\n", &start,
		       "x.ini:4: [pool:api] stderr: '/tmp' is a directory\n");
	/* Both go to the same file by default: said once. */
	assert_checked(API("@/script") "stdout = file:/tmp\n", &start,
		       "x.ini:4: [pool:api] stdout: '/tmp' is a directory\n");
}

static void test_accounts(void **state)
{
	(void)state;
	assert_checked("[supervisor]\noperator_group = no-such-group\n" API("@/script"), &start,
		       "x.ini:2: [supervisor] operator_group: there is no group 'no-such-group'\n");
	assert_checked(API("@/script") "user = no-such-user\ngroup = "
				       "no-such-group\nsupplementary_groups = nope\n",
		       &start,
		       "x.ini:4: [pool:api] user: there is no user 'no-such-user'\n"
		       "x.ini:5: [pool:api] group: there is no group 'no-such-group'\n"
		       "x.ini:6: [pool:api] supplementary_groups: there is no group 'nope'\n");
	assert_checked(API("@/script") "user = 4242424\n", &start,
		       "x.ini:4: [pool:api] user: there is no user '4242424'\n");
	assert_checked(
	    "[socket:s]\nlisten = unix:@/s\nowner = no-such-user\ngroup = no-such-group\n" API(
		"@/script") "sockets = s\n",
	    &start,
	    "x.ini:3: [socket:s] owner: there is no user 'no-such-user'\n"
	    "x.ini:4: [socket:s] group: there is no group 'no-such-group'\n");
}

static void test_mode_for_user(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()};

	(void)state;
	run_check(&reading, API("@/private") "user = nobody\n", &start, NULL);
	assert_non_null(strstr(
	    buf_text(&reading.said),
	    "x.ini:2: warning: [pool:api] command: the user 'nobody' may not execute 'private', "
	    "by its mode\n"));
}

/* What only root may do, tried by somebody else. */
static void test_without_rights(void **state)
{
	bool root = geteuid() == 0;
	struct rlimit files;
	char text[1024], said[1024];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_max == RLIM_INFINITY)
		files.rlim_max = 1 << 20;
	if (root) {
		assert_int_equal(setegid(NOBODY), 0);
		assert_int_equal(seteuid(NOBODY), 0);
	}
	snprintf(text, sizeof(text),
		 API("@/script") "user = 0\ngroup = 0\noom_score_adj = -1000\nnice = -20\n"
				 "[socket:s]\nlisten = unix:@/s\nowner = 0\n"
				 "[pool:b]\ncommand = sh\nready = notify\nsockets = s\n");
	snprintf(
	    said, sizeof(said),
	    "x.ini:4: [pool:api] user: only root may start workers as '0', and we are uid %u\n"
	    "x.ini:5: [pool:api] group: only root may start workers in the group '0', and we are "
	    "uid %u\n"
	    "x.ini:6: [pool:api] oom_score_adj: only root may lower it below our own (0), and we "
	    "are uid %u\n"
	    "x.ini:7: [pool:api] nice: only root may lower it below our own (%d), and we are uid "
	    "%u\n"
	    "x.ini:10: [socket:s] owner: only root may give a socket to '0', and we are uid %u\n",
	    geteuid(), geteuid(), geteuid(), getpriority(PRIO_PROCESS, 0), geteuid(), geteuid());
	assert_checked(text, &start, said);
	snprintf(text, sizeof(text), API("@/script") "limit_nofile = %lu\n",
		 (unsigned long)files.rlim_max + 1);
	{
		cleanup_reading struct reading reading = {.directory = make_world()};

		run_check(&reading, text, &start, NULL);
		assert_non_null(strstr(
		    buf_text(&reading.said),
		    "x.ini:4: [pool:api] limit_nofile: only root may raise the limit above "));
	}
	if (root) {
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(setegid(0), 0);
	}
}

static void test_nr_open(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()};
	cleanup_free char *most = NULL;
	char text[256];

	(void)state;
	assert_int_equal(fd_read_file("/proc/sys/fs/nr_open", 64, &most, NULL), 0);
	if (strtoull(most, NULL, 10) >= 1073741824)
		return;
	snprintf(text, sizeof(text), API("@/script") "limit_nofile = %llu\n",
		 strtoull(most, NULL, 10) + 1);
	run_check(&reading, text, &start, NULL);
	assert_non_null(strstr(buf_text(&reading.said),
			       "x.ini:4: [pool:api] limit_nofile: the kernel allows at most "));
}

/* A listening TCP socket at a free port of 127.0.0.1 that nobody's outgoing connection can have. */
static int take_port(unsigned *ret_port, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static uint64_t seed;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	seed = seed != 0 ? seed : (uint64_t)getpid();
	for (int i = 0; i < 100; i++) {
		*ret_port = 20000 + unit_random(&seed, 10000);
		address.sin_port = htons((uint16_t)*ret_port);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		    (type == SOCK_DGRAM || listen(fd, 5) == 0))
			return fd;
	}
	fail_msg("no port is free");
	return -1;
}

static void assert_bind(const char *scheme, unsigned port, const struct check_context *context,
			bool in_use)
{
	cleanup_reading struct reading reading = {.directory = make_world()};
	char text[256];

	snprintf(text, sizeof(text),
		 "[socket:s]\nlisten = %s://127.0.0.1:%u\n" API("@/script") "sockets = s\n", scheme,
		 port);
	run_check(&reading, text, context, NULL);
	assert_int_equal(reading.r, in_use ? -EINVAL : 0);
	if (!in_use) {
		assert_string_equal(buf_text(&reading.said), "");
		return;
	}
	assert_memory_equal(reading.said.data, "x.ini:2: [socket:s] listen: cannot bind ", 39);
	assert_non_null(strstr(reading.said.data, "in use"));
}

static void test_addresses(void **state)
{
	static const char *const schemes[] = {"tcp", "udp"};
	unsigned port;
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fd = take_port(&port, i == 0 ? SOCK_STREAM : SOCK_DGRAM);
		assert_bind(schemes[i], port, &try_binding, true);
		/* A start binds it for real. */
		assert_bind(schemes[i], port, &start, false);
		close(fd);
		assert_bind(schemes[i], port, &try_binding, false);
		/* And it is free after a check. */
		assert_bind(schemes[i], port, &try_binding, false);
	}
}

/* A port that an outgoing connection might have is told of, when somebody asks for advice. */
static void test_ports_of_outgoing_connections(void **state)
{
	static const struct {
		const char *list;
		unsigned port;
		bool reserved;
	} rows[] = {
	    {"\n", 80, false},	      {"80\n", 80, true},	   {"80\n", 8, false},
	    {"1,80,90\n", 80, true},  {"1,70-90,100\n", 80, true}, {"1,70-79,81-90\n", 80, false},
	    {"70-80\n", 80, true},    {"80-90\n", 80, true},	   {"", 80, false},
	    {"rubbish\n", 80, false}, {"79-\n", 80, false},
	};
	static const struct check_context advice = {.bind_test = true, .advise = true};
	unsigned long first = 0, last = 0;
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (check_ports_reserved(rows[i].list, rows[i].port) != rows[i].reserved)
			fail_msg("'%s' %u", rows[i].list, rows[i].port);
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &first, &last), 2);
	fclose(file);
	for (unsigned long port = first - 1; port <= last + 1; port += last - first + 2) {
		cleanup_reading struct reading reading = {.directory = make_world()};

		if (port < 1024 || port > 65535)
			continue;
		snprintf(text, sizeof(text),
			 "[socket:a]\nlisten = tcp://127.0.0.1:%lu\n" API("sh x") "sockets = a\n",
			 port);
		run_check(&reading, text, &advice, NULL);
		if (strstr(buf_text(&reading.said), "outgoing connections") != NULL)
			fail_msg("%s", reading.said.data);
	}
	for (int i = 0; i < 2; i++) {
		cleanup_reading struct reading reading = {.directory = make_world()};

		snprintf(text, sizeof(text),
			 "[socket:a]\nlisten = tcp://127.0.0.1:%lu%s\n" API(
			     "sh x") "sockets = a\nworkers = 3\n",
			 last - 2, i == 0 ? "" : "+%n");
		run_check(&reading, text, &advice, NULL);
		snprintf(text, sizeof(text),
			 "x.ini:2: warning: [socket:a] listen: port %lu is one of those that the "
			 "kernel gives to outgoing connections (%lu to %lu): ",
			 last - 2, first, last);
		if (strstr(buf_text(&reading.said), text) == NULL ||
		    strstr(strstr(reading.said.data, text) + strlen(text),
			   "outgoing connections (") != NULL)
			fail_msg("%s", buf_text(&reading.said));
	}
}

static void test_running_addresses_are_ours(void **state)
{
	cleanup_reading struct reading running = {.directory = unit_directory()};
	struct check_context context = {.bind_test = true};
	char text[256];
	unsigned port;
	int fd = take_port(&port, SOCK_STREAM);

	(void)state;
	snprintf(text, sizeof(text),
		 "[socket:other]\nlisten = tcp://127.0.0.1:%u\n" API("x") "sockets = other\n",
		 port);
	unit_write(running.directory, "x.ini", text, strlen(text));
	reading_run(&running);
	context.running = running.config;
	assert_bind("tcp", port, &context, false);
	/* The same port of another kind is somebody else's. */
	assert_bind("udp", port, &context, false);
	close(fd);
	fd = take_port(&port, SOCK_STREAM);
	assert_bind("tcp", port, &context, true);
	close(fd);
}

static void test_status_listen(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()},
				       running = {.directory = NULL};
	struct check_context context = {.bind_test = true};
	unsigned port;
	int fd = take_port(&port, SOCK_STREAM);
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "[supervisor]\nstatus_listen = 127.0.0.1:%u\n" API("sh x"),
		 port);
	run_check(&reading, text, &try_binding, NULL);
	assert_memory_equal(reading.said.data, "x.ini:2: [supervisor] status_listen: cannot bind ",
			    48);
	reading_end(&reading);
	running = read_text(text);
	context.running = running.config;
	reading.directory = make_world();
	run_check(&reading, text, &context, NULL);
	assert_string_equal(buf_text(&reading.said), "");
	close(fd);
}

static void test_foreign_address(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()};

	(void)state;
	/* TEST-NET-1 of RFC 5737: nobody has it. */
	run_check(&reading,
		  "[socket:s]\nlisten = tcp://192.0.2.1:20001\n" API("@/script") "sockets = s\n",
		  &try_binding, NULL);
	assert_int_equal(reading.r, -EINVAL);
	assert_non_null(strstr(reading.said.data, "192.0.2.1"));
	reading_end(&reading);
	reading.directory = make_world();
	run_check(&reading,
		  "[socket:s]\nlisten = tcp://192.0.2.1:20001\nfreebind = yes\n" API(
		      "@/script") "sockets = s\n",
		  &try_binding, NULL);
	assert_string_equal(buf_text(&reading.said), "");
}

#define UNIX(path) "[socket:s]\nlisten = unix:" path "\n" API("@/script") "sockets = s\n"

static void test_unix_paths(void **state)
{
	(void)state;
	assert_checked(UNIX("@/new.sock"), &try_binding, "");
	assert_checked(
	    UNIX("@/none/x"), &try_binding,
	    "x.ini:2: [socket:s] listen: the directory 'none/': No such file or directory\n");
	assert_checked(UNIX("@/text/x"), &try_binding,
		       "x.ini:2: [socket:s] listen: the directory 'text/': Not a directory\n");
	assert_checked(
	    UNIX("@/text"), &try_binding,
	    "x.ini:2: [socket:s] listen: 'text' exists and is no socket; it will not be touched\n");
}

static int bind_unix(const char *directory, struct stat *ret_st)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(stat(address.sun_path, ret_st), 0);
	return fd;
}

static void assert_same_file(const char *directory, const struct stat *before)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/s", directory);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(st.st_ino == before->st_ino && st.st_dev == before->st_dev);
	assert_true(st.st_mode == before->st_mode);
}

/* As /proc shows us: something else than the program's name where a checker runs it. */
static const char *own_name(void)
{
	static char name[17];

	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	return name;
}

/* A check may look at a socket's path; whoever serves there must not notice. */
static void test_unix_paths_are_not_touched(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()},
				       running = {.directory = NULL};
	struct check_context context = {.bind_test = true};
	struct stat before;
	char expected[256];
	int fd = bind_unix(reading.directory, &before);

	(void)state;
	run_check(&reading, UNIX("@/s"), &try_binding, NULL);
	snprintf(expected, sizeof(expected),
		 "x.ini:2: [socket:s] listen: 's' is in use by %s (pid %d)\n", own_name(),
		 getpid());
	assert_string_equal(buf_text(&reading.said), expected);
	assert_same_file(reading.directory, &before);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);

	/* It is the running instance's own. */
	running.directory = strdup(reading.directory);
	reading_run(&running);
	context.running = running.config;
	buf_reset(&reading.said);
	config_problems_free(&reading.problems);
	assert_int_equal(check_world(reading.config, &context, &reading.problems, NULL), 0);
	assert_int_equal(reading.problems.n, 0);

	/* Left over by a dead one: it will be replaced at the start, and is left alone now. */
	close(fd);
	assert_int_equal(check_world(reading.config, &try_binding, &reading.problems, NULL), 0);
	assert_int_equal(reading.problems.n, 0);
	assert_same_file(reading.directory, &before);
	free(TAKE_PTR(running.directory));
}

/* Anybody may lower a hard limit, but valgrind keeps its own and refuses it. */
static bool limits_can_be_lowered(void)
{
	struct rlimit now, less;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (getrlimit(RLIMIT_NOFILE, &now) == -1)
			_exit(1);
		less = (struct rlimit){.rlim_cur = now.rlim_max - 1, .rlim_max = now.rlim_max - 1};
		_exit(setrlimit(RLIMIT_NOFILE, &less) == -1 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

/* In a process of its own, for a hard limit does not come back. */
static int check_with_few_descriptors(rlim_t limit, const char *workers, const char *needle)
{
	struct reading reading = {.directory = make_world()};
	struct rlimit few = {.rlim_cur = limit, .rlim_max = limit};
	char text[256];
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		snprintf(text, sizeof(text), API("@/script") "%s", workers);
		setrlimit(RLIMIT_NOFILE, &few);
		run_check(&reading, text, &start, NULL);
		if (*needle == '\0')
			_exit(*buf_text(&reading.said) != '\0' ? 1 : 0);
		_exit(strstr(buf_text(&reading.said), needle) == NULL ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unit_remove(reading.directory);
	return status;
}

static void test_descriptors(void **state)
{
	(void)state;
	if (!limits_can_be_lowered())
		skip();
	/* 64 of our own, and 5 for each of 4 workers and 4 more in a rollout; 5 for each of 64 at
	 * the most. */
	assert_int_equal(check_with_few_descriptors(384, "workers = 4\n", ""), 0);
	assert_int_equal(
	    check_with_few_descriptors(
		383, "workers = 4\n",
		"x.ini: warning: with max_processes in every pool up to 384 descriptors"),
	    0);
	assert_int_equal(check_with_few_descriptors(104, "workers = 4\n", "x.ini: warning: "), 0);
	assert_int_equal(check_with_few_descriptors(103, "workers = 4\n",
						    "x.ini: the workers and a rollout of them take "
						    "104 descriptors, but the hard limit of "
						    "open files is 103;"),
			 0);
	/* another pipe, a socket for acknowledgements */
	assert_int_equal(check_with_few_descriptors(
			     100, "workers = 4\nstderr = file:/tmp/x\ncompat = einhorn\n",
			     "take 120 descriptors, but the hard limit of open files is 100;"),
			 0);
	assert_int_equal(check_with_few_descriptors(95, "workers = 4\nstdout = null\n",
						    "take 96 descriptors, but"),
			 0);
}

/* Nothing is delegated to a test. */
static void test_cgroup_keys(void **state)
{
	static const char keys[] =
	    API("@/script") "memory_max = 64M\ntasks_max = infinity\ncpu_weight = 5\n";
	static const char elsewhere[] =
	    "takes effect only in a cgroup that is delegated to the instance (Delegate=yes in its "
	    "unit), and here there is none\n";
	cleanup_reading struct reading at_start = {.directory = make_world()},
				       by_hand = {.directory = make_world()};
	char expected[512];

	(void)state;
	run_check(&at_start, keys, &start, NULL);
	assert_int_equal(at_start.r, 0);
	assert_non_null(strstr(buf_text(&at_start.said),
			       "x.ini:4: warning: [pool:api] memory_max: has no effect: "));
	assert_non_null(strstr(buf_text(&at_start.said),
			       "x.ini:6: warning: [pool:api] cpu_weight: has no effect: "));
	assert_null(strstr(buf_text(&at_start.said), "tasks_max"));
	run_check(&by_hand, keys, &try_binding, NULL);
	assert_int_equal(by_hand.r, 0);
	snprintf(expected, sizeof(expected),
		 "x.ini:4: warning: [pool:api] memory_max: %sx.ini:6: warning: [pool:api] "
		 "cpu_weight: %s",
		 elsewhere, elsewhere);
	assert_string_equal(buf_text(&by_hand.said), expected);
}

static void test_summary(void **state)
{
	cleanup_reading struct reading reading = {.directory = make_world()};
	cleanup_buf struct buf summary = {.data = NULL};
	char expected[1024];

	(void)state;
	run_check(&reading,
		  "[supervisor]\nlame_duck = 2s\n[socket:a]\nlisten = "
		  "tcp://127.0.0.1:9000\n[socket:b]\nlisten = systemd:web\n"
		  "[socket:c]\nlisten = tcp://127.0.0.1:9100+%n\n"
		  "[pool:api]\ncommand = @/script x\nready = notify\nsockets = a b c\nworkers = "
		  "4\ndrain_timeout = 1min\n"
		  "stop_timeout = 6s\ndump_signal = SIGQUIT\ndrain_extend_max = 3s\n"
		  "[pool:b]\ncommand = sh x\nready = delay:1s\ncanary = 1\ncanary_hold = yes\n"
		  "canary_check = exec:sh y\n",
		  &start, &summary);
	snprintf(
	    expected, sizeof(expected),
	    "instance x\n"
	    "socket a: tcp://127.0.0.1:9000\n"
	    "socket b: systemd:web\n"
	    "socket c: tcp://127.0.0.1:9100+%%n, for slots 0 to 3\n"
	    "pool api: 4 workers of %s/script on a, b, c; ready when it says so, within 30 s; "
	    "drains within 1 min at a reload, 6 s at a "
	    "stop (and 3 s more if it asks), then SIGQUIT and 500 ms, then SIGKILL\n"
	    "pool b: 1 worker of sh; ready after a delay, within 30 s; a reload watches 1 canary "
	    "for 30 s, asks sh, waits for a person, 1 h at most; drains within 6 s at a "
	    "reload, 6 s at a stop, then SIGKILL\n"
	    "a stop takes at most 11.5 s (2 s of them lame duck): more than the 10 s that "
	    "`docker stop` gives\n",
	    reading.directory);
	assert_string_equal(summary.data, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_wrong),
	    cmocka_unit_test(test_commands),
	    cmocka_unit_test(test_search_path),
	    cmocka_unit_test(test_no_program),
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_wrappers),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_accounts),
	    cmocka_unit_test(test_mode_for_user),
	    cmocka_unit_test(test_without_rights),
	    cmocka_unit_test(test_nr_open),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_ports_of_outgoing_connections),
	    cmocka_unit_test(test_running_addresses_are_ours),
	    cmocka_unit_test(test_status_listen),
	    cmocka_unit_test(test_foreign_address),
	    cmocka_unit_test(test_unix_paths),
	    cmocka_unit_test(test_unix_paths_are_not_touched),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_cgroup_keys),
	    cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
