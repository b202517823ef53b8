/* output_file.c - log files of workers. Lines pass through us, so that a file that was renamed by
 * logrotate can be opened anew while its workers run. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "engine/output_internal.h"

#define FILE_COMPLAINT_INTERVAL (60 * USEC_PER_SEC)

/* O_NONBLOCK: a FIFO without a reader, or with one that hangs, must not hold us up. */
static int file_open(const char *path)
{
	int fd =
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	return fd == -1 ? -errno : fd;
}

int output_file_get(struct output_files *files, const char *path, struct output_file **ret_file,
		    char **ret_error)
{
	struct output_file *file;
	int fd;

	for (file = LIST_FIRST(files); file != NULL; file = LIST_NEXT(file, place)) {
		if (strcmp(file->path, path) == 0) {
			file->refs++;
			*ret_file = file;
			return 0;
		}
	}
	fd = file_open(path);
	if (fd < 0) {
		if (asprintf(ret_error, "cannot open %s for output: %s", path, strerror(-fd)) == -1)
			*ret_error = NULL;
		return fd;
	}
	file = calloc(1, sizeof(*file));
	if (file != NULL)
		file->path = strdup(path);
	if (file == NULL || file->path == NULL) {
		free(file);
		fd_close(fd);
		return -ENOMEM;
	}
	file->fd = fd;
	file->refs = 1;
	LIST_INSERT_HEAD(files, file, place);
	*ret_file = file;
	return 0;
}

void output_file_put(struct output_file *file)
{
	if (file == NULL || --file->refs > 0)
		return;
	LIST_REMOVE(file, place);
	fd_close(file->fd);
	free(file->path);
	free(file);
}

static uint64_t count_lines(const char *data, size_t len)
{
	const char *end = data + len, *newline;
	uint64_t n = 0;

	while ((newline = memchr(data, '\n', (size_t)(end - data))) != NULL) {
		data = newline + 1;
		n++;
	}
	return n + (data < end);
}

static void file_complain(struct output_file *file, int error)
{
	usec_t now = clock_now();

	if (file->told_at != 0 && now - file->told_at < FILE_COMPLAINT_INTERVAL)
		return;
	file->told_at = now;
	log_error("cannot write to %s: %s; %llu lines of workers' output were dropped so far, "
		  "trying again with each new line",
		  file->path, strerror(error), (unsigned long long)file->dropped);
}

uint64_t output_file_write(struct output_file *file, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(file->fd, data, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n == 0 ? EIO : errno;
			uint64_t lines = count_lines(data, len);

			file->dropped += lines;
			file_complain(file, error);
			return lines;
		}
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

void output_file_reopen(struct output_file *file)
{
	int fd = file_open(file->path);

	if (fd < 0) {
		log_error("cannot open %s anew: %s; output goes on into the file that was open",
			  file->path, strerror(-fd));
		return;
	}
	fd_close(file->fd);
	file->fd = fd;
	log_info("opened %s anew", file->path);
}
